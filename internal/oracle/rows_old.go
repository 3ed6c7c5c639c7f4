package oracle

import (
	"io"
	"net/http"
)

// oldRows are requests of HTTP/1.0, to which servers answer in another way.
func oldRows() []Row {
	old := func(name string, status int, request Request, handler http.HandlerFunc, gaps ...Gap) Row {
		return Row{Name: "HTTP/1.0/" + name, Handler: handler, Status: status, Request: request, Versions: []Version{HTTP10}, Gaps: gaps}
	}
	return []Row{
		old("small", 200, Request{}, hello),
		old("with a body", 200, Request{Method: "POST", Body: []string{"some ", "body"}}, echo),
		old("large", 200, Request{}, writer(chunks(100_000, 3000))),
		old("flushed", 200, Request{}, flushed(hello)),
		old("HEAD", 200, Request{Method: "HEAD"}, hello),
		old("204", 204, Request{}, answer(204, "")),
		old("103", 200, Request{}, func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusEarlyHints)
			hello(w, r)
		}, Gap{
			Aspect: "informational",
			Reason: "HTTP/1.0 has no interim responses (RFC 9110, section 15.2); net/http sends them all the same",
		}),
		old("trailers", 200, Request{}, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Trailer", "X-Sum")
			hello(w, r)
			w.(http.Flusher).Flush()
			w.Header().Set("X-Sum", "6")
		}, besides),
		old("Expect", 200, Request{Method: "POST", Header: http.Header{"Expect": {"100-continue"}}, Body: nil}, hello),
		old("body not read", 200, Request{Method: "POST", Body: []string{"x"}}, func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "early")
		}),
	}
}
