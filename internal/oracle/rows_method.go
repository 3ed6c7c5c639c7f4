package oracle

import (
	"fmt"
	"maps"
	"net/http"
)

// methodRows are about methods, each with the body that it usually has.
func methodRows() []Row {
	name := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Method", r.Method)
		echo(w, r)
	}
	body := []string{"some", "body"}
	return []Row{
		{Name: "method/GET", Handler: name, Status: 200},
		{Name: "method/HEAD", Handler: name, Request: Request{Method: "HEAD"}, Status: 200},
		{Name: "method/HEAD with body written", Handler: hello, Request: Request{Method: "HEAD"}, Status: 200},
		{Name: "method/HEAD flushed", Handler: flushed(hello), Request: Request{Method: "HEAD"}, Status: 200},
		{Name: "method/HEAD with Content-Length", Handler: fields(http.Header{"Content-Length": {"1000"}}), Request: Request{Method: "HEAD"}, Status: 200},
		{Name: "method/POST", Handler: name, Request: Request{Method: "POST", Body: body}, Status: 200},
		{Name: "method/POST without body", Handler: name, Request: Request{Method: "POST"}, Status: 200},
		{Name: "method/PUT", Handler: name, Request: Request{Method: "PUT", Body: body, Unsized: true}, Status: 200},
		{Name: "method/PATCH", Handler: name, Request: Request{Method: "PATCH", Body: body}, Status: 200},
		{Name: "method/DELETE", Handler: name, Request: Request{Method: "DELETE"}, Status: 200},
		{Name: "method/DELETE with body", Handler: name, Request: Request{Method: "DELETE", Body: body}, Status: 200},
		{Name: "method/GET with body", Handler: name, Request: Request{Body: body}, Status: 200},
		{Name: "method/OPTIONS", Handler: name, Request: Request{Method: "OPTIONS", Target: "/x"}, Status: 200},
		{Name: "method/OPTIONS *", Handler: name, Request: Request{Method: "OPTIONS", Target: "*"}, Status: 200},
		{Name: "method/TRACE", Handler: name, Request: Request{Method: "TRACE"}, Status: 200},
		{Name: "method/of one's own", Handler: name, Request: Request{Method: "M-SEARCH!"}, Status: 200},
		{Name: "method/in lower case", Handler: name, Request: Request{Method: "get"}, Status: 200},
	}
}

// statusRows are about final statuses, with and without a body.
func statusRows() []Row {
	var rows []Row
	for _, status := range []int{200, 201, 202, 203, 204, 205, 206, 226, 299, 300, 301, 304, 400, 404, 418, 426, 451, 500, 503, 599, 600, 999} {
		rows = append(rows,
			Row{Name: fmt.Sprintf("status/%d", status), Handler: answer(status, ""), Status: status},
			Row{Name: fmt.Sprintf("status/%d with body", status), Handler: answer(status, "body"), Status: status},
		)
	}
	described := fieldsAlone(http.Header{"Content-Type": {"text/plain"}, "Content-Length": {"6"}, "Etag": {`"a"`}})
	missesBody := Gap{
		Aspect: "class", When: func(via Via) bool { return direct(via) && via.Version == HTTP2 },
		Reason: "net/http's HTTP/2 client misses the body that a length describes, where there is none",
	}
	noLength := Gap{
		Aspect: "field Content-Length", When: func(via Via) bool { return !direct(via) && via.Version == HTTP2 },
		Reason: "a 204 has no Content-Length (RFC 9110, section 8.6); net/http's HTTP/2 sends it",
	}
	rows = append(rows,
		Row{Name: "status/204 described", Handler: described(http.StatusNoContent), Status: 204, Gaps: []Gap{missesBody, noLength}},
		Row{Name: "status/304 described", Handler: described(http.StatusNotModified), Status: 304, Gaps: []Gap{missesBody}},
	)
	return append(rows,
		Row{Name: "status/none", Handler: func(http.ResponseWriter, *http.Request) {}, Status: 200},
		Row{Name: "status/twice", Handler: func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusCreated)
			w.WriteHeader(http.StatusInternalServerError)
			hello(w, r)
			w.WriteHeader(http.StatusNotFound)
		}, Status: 201},
		Row{Name: "status/99", Handler: answer(99, ""), Class: Failed},
		Row{Name: "status/1000", Handler: answer(1000, ""), Class: Failed},
		Row{Name: "status/0", Handler: answer(0, ""), Class: Failed},
		Row{Name: "status/write errors", Handler: func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusNoContent)
			n, err := w.Write([]byte("x"))
			r.Header.Set("X-Unused", "the handler may change the request")
			if n != 0 || err == nil {
				panic("a write without a body")
			}
		}, Status: 204},
	)
}

// flushed flushes before next writes anything.
func flushed(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).Flush()
		next(w, r)
	}
}

// fieldsAlone returns what makes handlers that set fields and a status.
func fieldsAlone(header http.Header) func(status int) http.HandlerFunc {
	return func(status int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			maps.Copy(w.Header(), header)
			w.WriteHeader(status)
		}
	}
}
