package oracle

import (
	"fmt"
	"io"
	"maps"
	"net/http"
)

// trailerRows are about trailer sections, in both directions.
func trailerRows() []Row {
	trails := func(name string, announced []string, trailer http.Header, gaps ...Gap) Row {
		return Row{Name: "trailer/" + name, Status: 200, Gaps: gaps, Handler: func(w http.ResponseWriter, r *http.Request) {
			if announced != nil {
				w.Header()["Trailer"] = announced
			}
			hello(w, r)
			w.(http.Flusher).Flush()
			maps.Copy(w.Header(), trailer)
		}}
	}
	tells := func(w http.ResponseWriter, r *http.Request) {
		before := fmt.Sprint(r.Trailer)
		_, _ = io.Copy(io.Discard, r.Body)
		fmt.Fprintln(w, before, r.Trailer)
	}
	sends := func(name string, request Request, gaps ...Gap) Row {
		request.Method = "POST"
		return Row{Name: "trailer/of the request: " + name, Status: 200, Handler: tells, Request: request, Gaps: gaps}
	}
	announces := func(names ...string) http.Header { return http.Header{"Trailer": names} }
	body := []string{"a", "b"}
	return []Row{
		trails("announced", []string{"X-Sum"}, http.Header{"X-Sum": {"6"}}),
		trails("announced in a list", []string{"X-Sum, x-other", "X-More"}, http.Header{"X-Sum": {"6"}, "X-Other": {"a", "b"}, "X-More": {""}}),
		trails("announced and not sent", []string{"X-Sum"}, nil),
		trails("sent in part", []string{"X-Sum, X-Other"}, http.Header{"X-Other": {"1"}}),
		trails("with the prefix", nil, http.Header{http.TrailerPrefix + "X-Sum": {"6"}, http.TrailerPrefix + "X-Two": {"a", "b"}}),
		trails("both ways", []string{"X-Sum"}, http.Header{"X-Sum": {"6"}, http.TrailerPrefix + "X-More": {"7"}}),
		trails("neither way", nil, http.Header{"X-Sum": {"6"}}),
		trails("not UTF-8", []string{"X-Sum"}, http.Header{"X-Sum": {"caf\xe9"}}),
		trails("not allowed", []string{"Content-Length, Transfer-Encoding, X-Sum"}, http.Header{"X-Sum": {"6"}, "Transfer-Encoding": {"x"}}, Gap{
			Aspect: "class", When: asked(HTTP11),
			Reason: "net/http's client takes no trailers that are not allowed",
		}, Gap{
			Aspect: "field Trailer", When: func(via Via) bool {
				return (via.Route.Gateway || via.Route.Library && !via.Route.Direct) && !asked(HTTP11)(via)
			},
			Reason: "http.Response.Trailer has the names that are allowed alone",
		}),
		trails("not allowed, with the prefix", nil, http.Header{http.TrailerPrefix + "Content-Length": {"6"}, http.TrailerPrefix + "X-Sum": {"6"}}, Gap{
			Aspect: "trailer Content-Length", When: in(HTTP11),
			Reason: "trailers that RFC 9110 section 6.5.1 forbids are dropped (protocol, 11)",
		}),
		trails("of gRPC", []string{"Grpc-Status", "Grpc-Message"}, http.Header{"Grpc-Status": {"5"}, "Grpc-Message": {"no"}}),
		{Name: "trailer/without a body", Status: 200, Handler: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Trailer", "X-Sum")
			w.WriteHeader(http.StatusOK)
			w.Header().Set("X-Sum", "0")
		}},
		{Name: "trailer/without a flush", Status: 200, Handler: func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Trailer", "X-Sum")
			hello(w, r)
			w.Header().Set("X-Sum", "6")
		}},
		{Name: "trailer/prefix without a flush", Status: 200, Gaps: []Gap{besides}, Handler: func(w http.ResponseWriter, r *http.Request) {
			hello(w, r)
			w.Header().Set(http.TrailerPrefix+"X-Sum", "6")
		}},
		{Name: "trailer/set before the head", Status: 200, Handler: func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Trailer", "X-Sum")
			w.Header().Set("X-Sum", "early")
			hello(w, r)
			w.(http.Flusher).Flush()
			w.Header().Set("X-Sum", "late")
		}},
		{Name: "trailer/prefix before the head", Status: 200, Handler: func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set(http.TrailerPrefix+"X-Sum", "early")
			hello(w, r)
			w.(http.Flusher).Flush()
		}},
		{Name: "trailer/with Content-Length", Status: 200, Versions: []Version{HTTP2}, Handler: func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Trailer", "X-Sum")
			w.Header().Set("Content-Length", "6")
			hello(w, r)
			w.Header().Set("X-Sum", "6")
		}},
		{Name: "trailer/to HEAD", Status: 200, Request: Request{Method: "HEAD"}, Handler: func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Trailer", "X-Sum")
			hello(w, r)
			w.Header().Set("X-Sum", "6")
		}},
		{Name: "trailer/of 204", Status: 204, Handler: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Trailer", "X-Sum")
			w.WriteHeader(http.StatusNoContent)
			w.Header().Set("X-Sum", "6")
		}},
		sends("announced", Request{Header: announces("X-Sum"), Body: body, Unsized: true, Trailer: http.Header{"X-Sum": {"2"}}}),
		sends("several", Request{Header: announces("x-sum, X-Other"), Body: body, Unsized: true, Trailer: http.Header{"X-Sum": {"2", "3"}, "X-Other": {"\xff"}}}),
		sends("announced and not sent", Request{Header: announces("X-Sum"), Body: body, Unsized: true}),
		sends("not announced", Request{Body: body, Unsized: true, Trailer: http.Header{"X-Sum": {"2"}}},
			Gap{Aspect: "seen trailer X-Sum", When: bareIn(HTTP2), Reason: unannounced},
			Gap{Aspect: "body", When: bareIn(HTTP2), Reason: unannounced},
			Gap{Aspect: "field Content-Length", When: bareIn(HTTP2), Reason: unannounced},
		),
		sends("not read", Request{Header: announces("X-Sum"), Body: body, Unsized: true, Trailer: http.Header{"X-Sum": {"2"}}}),
	}
}

// besides is the gap of trailers that HTTP/1.1 has no place for.
var besides = Gap{
	Aspect: "trailer X-Sum", When: bareIn(HTTP10, HTTP11),
	Reason: "trailers cross without the chunked coding, which HTTP/1.1 needs for them",
}

const unannounced = "trailers need not be announced (protocol, 11); net/http's HTTP/2 drops those that are not"
