package oracle

import (
	"maps"
	"net/http"
)

// informationalRows are about interim responses and expectations.
func informationalRows() []Row {
	interim := func(heads ...Informational) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			for _, head := range heads {
				maps.Copy(w.Header(), head.Header)
				w.WriteHeader(head.Status)
			}
			w.Header().Set("X-Final", "1")
			hello(w, r)
		}
	}
	hints := func(links ...string) Informational {
		return Informational{Status: 103, Header: http.Header{"Link": links}}
	}
	expects := func(name string, status int, handler http.HandlerFunc, gaps ...Gap) Row {
		return Row{
			Name: "informational/Expect: " + name, Handler: handler, Status: status, Gaps: gaps,
			Request: Request{Method: "POST", Header: http.Header{"Expect": {"100-continue"}}, Body: []string{"some", "body"}},
		}
	}
	return []Row{
		{Name: "informational/103", Handler: interim(hints("</a.css>; rel=preload")), Status: 200},
		{Name: "informational/103 twice", Handler: interim(hints("</a.css>"), hints("</a.css>", "</b.css>")), Status: 200},
		{Name: "informational/102", Handler: interim(Informational{Status: 102}), Status: 200},
		{Name: "informational/102, 103, 199", Handler: interim(Informational{Status: 102}, hints("</a>"), Informational{Status: 199}), Status: 200},
		{Name: "informational/100 by hand", Handler: interim(Informational{Status: 100}), Status: 200},
		{Name: "informational/103 with Content-Length", Status: 200, Handler: func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "6")
			w.Header().Set("Content-Type", "text/x")
			w.WriteHeader(http.StatusEarlyHints)
			hello(w, r)
		}},
		{Name: "informational/103 to HEAD", Handler: interim(hints("</a>")), Request: Request{Method: "HEAD"}, Status: 200},
		{Name: "informational/103 and 304", Status: 304, Handler: func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusEarlyHints)
			w.WriteHeader(http.StatusNotModified)
		}},
		{Name: "informational/after the head", Status: 200, Handler: func(w http.ResponseWriter, r *http.Request) {
			hello(w, r)
			w.WriteHeader(http.StatusEarlyHints)
		}},
		{Name: "informational/101 without an upgrade", Handler: answer(101, ""), Versions: []Version{HTTP2}, Status: 200, Gaps: []Gap{
			{Aspect: "class", Reason: "a handler that switches protocols unasked has failed (protocol, 7 and 9.1); HTTP/2 has no 101"},
		}},
		expects("read", 200, echo),
		expects("not read", 403, answer(403, "no")),
		expects("continued by hand", 200, func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusContinue)
			echo(w, r)
		}),
		only(HTTP11, expects("103 first", 200, func(w http.ResponseWriter, r *http.Request) { // net/http's HTTP/2 forgets the 100 then
			w.WriteHeader(http.StatusEarlyHints)
			echo(w, r)
		})),
		only(HTTP2, expects("closed", 200, func(w http.ResponseWriter, r *http.Request) { // net/http's HTTP/1 waits for the body then
			_ = r.Body.Close()
			hello(w, r)
		})),
		{
			Name: "informational/Expect: capitals", Handler: echo, Status: 200,
			Request: Request{Method: "POST", Header: http.Header{"Expect": {"100-Continue"}}, Body: []string{"x"}},
		},
		{
			Name: "informational/Expect: without a body", Handler: hello, Status: 200,
			Request: Request{Header: http.Header{"Expect": {"100-continue"}}},
		},
		{
			Name: "informational/Expect: something else", Handler: hello, Status: 417, Versions: []Version{HTTP11},
			Request: Request{Header: http.Header{"Expect": {"the-unexpected"}}},
		},
		{
			Name: "informational/Expect: something else in HTTP/2", Handler: hello, Status: 200, Versions: []Version{HTTP2},
			Request: Request{Header: http.Header{"Expect": {"the-unexpected"}}},
		},
	}
}

// only restricts a row to one version.
func only(version Version, row Row) Row {
	row.Versions = []Version{version}
	return row
}
