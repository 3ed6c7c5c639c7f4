package culvert_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// oracleCase is an exchange that must look the same through a gateway as it does
// without one.
type oracleCase struct {
	name    string
	handler http.HandlerFunc
	request func(*http.Request)
	// differs says why the answer is another one where the upstream is reached by
	// another version of HTTP than the gateway.
	differs string
}

// seen is what a client sees of an exchange.
type seen struct {
	Interim []string
	Status  int
	Header  http.Header
	Length  int64
	Body    string
	Trailer http.Header
	Err     string
}

const lengthByVersion = "net/http's HTTP/2 gives a short body with trailers its length, HTTP/1.1 does not"

var oracleCases = []oracleCase{
	{name: "empty", handler: func(http.ResponseWriter, *http.Request) {}},
	{name: "text", handler: func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "hello") }},
	{name: "flushed", handler: func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, "hel")
		w.(http.Flusher).Flush()
		fmt.Fprint(w, "lo")
	}},
	{name: "flushed head alone", handler: func(w http.ResponseWriter, _ *http.Request) { w.(http.Flusher).Flush() }},
	{name: "length 0", handler: func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Length", "0") }},
	{name: "no content", handler: func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }},
	{name: "not modified", handler: func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Etag", `"x"`)
		w.WriteHeader(http.StatusNotModified)
	}},
	{name: "no content, with a trailer", handler: func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Trailer", "X-Sum")
		w.WriteHeader(http.StatusNoContent)
		w.Header().Set("X-Sum", "42")
	}, differs: "HTTP/1.1 has no trailers without a body"},
	{name: "HEAD with a trailer", handler: func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Trailer", "X-Sum")
		fmt.Fprint(w, "hello")
	}, request: func(r *http.Request) { r.Method = "HEAD" }, differs: lengthByVersion},
	{name: "odd status", handler: func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(799) }},
	{name: "status 500", handler: func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusInternalServerError) }},
	{name: "redirect", handler: func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/else?a=b", http.StatusFound) }},
	{
		name: "HEAD", handler: func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "hello") },
		request: func(r *http.Request) { r.Method = "HEAD" },
	},
	{
		name: "HEAD with a length", handler: func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Length", "12345") },
		request: func(r *http.Request) { r.Method = "HEAD" },
	},
	{
		name: "HEAD without a length", handler: func(w http.ResponseWriter, _ *http.Request) { w.(http.Flusher).Flush() },
		request: func(r *http.Request) { r.Method = "HEAD" },
	},
	{name: "no type", handler: func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["Content-Type"] = nil
		fmt.Fprint(w, "<html>")
	}},
	{name: "no date", handler: func(w http.ResponseWriter, _ *http.Request) { w.Header()["Date"] = nil }},
	{name: "a date of its own", handler: func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Date", "Mon, 01 Jan 2024 00:00:00 GMT")
	}},
	{name: "many values", handler: func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["Set-Cookie"] = []string{"a=1", "b=2", "a=1"}
		w.Header()["X-Bytes"] = []string{"\xff\xfe", "", "ü"}
	}},
	{name: "fields of RPC", handler: func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "identity")
		w.Header().Set("Grpc-Status", "7")
		w.Header().Set("Connect-Protocol-Version", "1")
	}},
	{name: "trailers", handler: func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Trailer", "X-Sum")
		fmt.Fprint(w, "body")
		w.Header().Set("X-Sum", "42")
	}, differs: lengthByVersion},
	{name: "trailers not announced", handler: func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, "body")
		w.Header().Set(http.TrailerPrefix+"X-Sum", "42")
		w.Header().Add(http.TrailerPrefix+"X-Sum", "43")
	}, differs: lengthByVersion},
	{name: "trailers without a body", handler: func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set(http.TrailerPrefix+"X-Sum", "42")
	}, differs: lengthByVersion},
	{name: "trailer announced and not sent", handler: func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Trailer", "X-Sum")
		fmt.Fprint(w, "body")
	}, differs: lengthByVersion},
	{name: "trailer with the name of a field", handler: func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Sum", "0")
		w.WriteHeader(http.StatusOK)
		w.(http.Flusher).Flush()
		w.Header().Set(http.TrailerPrefix+"X-Sum", "42")
	}},
	{name: "1xx", handler: func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Link", "</a.css>; rel=preload")
		w.WriteHeader(http.StatusEarlyHints)
		w.Header().Set("Link", "</b.css>; rel=preload")
		w.WriteHeader(http.StatusEarlyHints)
		w.Header().Del("Link")
		w.WriteHeader(http.StatusProcessing)
		w.Header().Set("X-Final", "yes")
		fmt.Fprint(w, "done")
	}},
	{name: "large", handler: func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, strings.Repeat("0123456789abcdef", 1<<16))
	}},
	{name: "large with a length", handler: func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "1048576")
		fmt.Fprint(w, strings.Repeat("0123456789abcdef", 1<<16))
	}},
	{name: "request", handler: describe, request: func(r *http.Request) { r.Header.Set("X-A", "b") }},
	{name: "request with a body", handler: describe, request: withBody("POST", "some text", 9)},
	{name: "request of unknown length", handler: describe, request: withBody("PUT", "some text", -1)},
	{name: "request with an empty body", handler: describe, request: withBody("POST", "", 0)},
	{name: "request with an empty body of unknown length", handler: describe, request: withBody("POST", "", -1)},
	{name: "GET with a body", handler: describe, request: withBody("GET", "some text", 9)},
	{name: "odd method", handler: describe, request: withBody("M-SEARCH", "x", 1)},
	{name: "request trailers", handler: describe, request: func(r *http.Request) {
		withBody("POST", "some text", -1)(r)
		r.Trailer = http.Header{"X-Sum": {"42"}, "X-Other": {"a", "b"}}
	}},
	{name: "request fields", handler: describe, request: func(r *http.Request) {
		r.Header["X-Many"] = []string{"a", "", "a", "\xff"}
		r.Header["User-Agent"] = []string{"test/1"}
		r.Header["Cookie"] = []string{"a=1; b=2"}
		r.Header.Set("Te", "trailers")
		r.Header.Set("Grpc-Timeout", "1S")
	}},
	{name: "no user agent", handler: describe, request: func(r *http.Request) { r.Header["User-Agent"] = nil }},
	{name: "host", handler: describe, request: func(r *http.Request) { r.Host = "Example.com:81" }},
	{
		name: "body ignored", handler: func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusForbidden) },
		request: withBody("POST", "some text", 9),
	},
	{name: "OPTIONS", handler: describe, request: func(r *http.Request) { r.Method = "OPTIONS" }},
	{name: "OPTIONS *", handler: describe, request: func(r *http.Request) { r.Method, r.URL.Path, r.URL.RawQuery = "OPTIONS", "*", "" }},
	{name: "truncated", handler: func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, "part")
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	}},
	{name: "truncated with a length", handler: func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "10")
		fmt.Fprint(w, "part")
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	}},
	{name: "truncated behind its length", handler: func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "4")
		fmt.Fprint(w, "part")
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	}, differs: "HTTP/1.1 has no end but the last byte"},
}

// paths are targets that shall arrive as they were sent.
var oraclePaths = []string{
	"/", "/a/b?c=d", "/?", "/%2e%2e/", "/a//b", "//host/x", "/a%2Fb", "/|\"<>^`{}", "/ü", "/a/../b", "/a;b=c,d", "/%7e~", "/a?b?c=/d%20+e", "/:80",
}

// describe answers with all that it knows of the request, but for what gateways
// add.
func describe(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	w.Header().Set("Content-Type", "text/plain")
	fmt.Fprintf(w, "%s %s %s length %d\nbody %q %v\n", r.Method, r.RequestURI, r.Host, r.ContentLength, body, err)
	fmt.Fprintf(w, "trailers %v\n", r.Trailer)
	for _, added := range []string{"Via", "Forwarded", "X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host"} {
		r.Header.Del(added)
	}
	_ = r.Header.Write(w)
}

func withBody(method, body string, length int64) func(*http.Request) {
	return func(r *http.Request) {
		r.Method = method
		r.ContentLength = length
		r.Body = io.NopCloser(strings.NewReader(body))
		if length == 0 {
			r.Body = http.NoBody
		}
	}
}

// observe makes an exchange and tells what the client saw.
func observe(tb testing.TB, client *http.Client, change func(*http.Request)) seen {
	tb.Helper()
	var got seen
	ctx := httptrace.WithClientTrace(tb.Context(), &httptrace.ClientTrace{
		Got1xxResponse: func(code int, header textproto.MIMEHeader) error {
			got.Interim = append(got.Interim, fmt.Sprintf("%d %v", code, header))
			return nil
		},
	})
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://example.com/path?query", nil)
	if err != nil {
		tb.Fatal(err)
	}
	if change != nil {
		change(r)
	}
	resp, err := client.Do(r)
	if err != nil {
		tb.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		got.Err = io.ErrUnexpectedEOF.Error()
	}
	got.Status, got.Header, got.Length = resp.StatusCode, resp.Header, resp.ContentLength
	got.Body, got.Trailer = string(body), resp.Trailer
	if date, err := http.ParseTime(got.Header.Get("Date")); err == nil && time.Since(date) < time.Hour {
		got.Header.Set("Date", "now")
	}
	return got
}

func TestGatewayIsTransparent(t *testing.T) {
	count := 0
	for _, front := range []httpVersion{http1, http2Cleartext} {
		for _, back := range []httpVersion{http1, http2Cleartext, tunnelled} {
			t.Run(fmt.Sprintf("%v to %v", front, back), func(t *testing.T) {
				for _, test := range oracleCases {
					count++
					t.Run(test.name, func(t *testing.T) {
						direct := observe(t, newFrontClient(t, startServer(t, test.handler), front), test.request)
						through := observe(t, newFrontClient(t, startGateway(t, test.handler, back), front), test.request)
						if diff := cmp.Diff(direct, through); diff != "" && (front == back || back == tunnelled || test.differs == "") {
							t.Errorf("direct (-), through the gateway (+):\n%s", diff)
						}
					})
				}
			})
		}
	}
	t.Logf("%d exchanges compared", count)
}

func TestGatewayKeepsTarget(t *testing.T) {
	echo := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.RequestURI) })
	addr := startGateway(t, echo, http1)
	for _, path := range append(oraclePaths, "/\xff\xfe") {
		_, body := rawRequest(t, addr, "GET "+path+" HTTP/1.1\r\nHost: example.com\r\n\r\n")
		if body != path {
			t.Errorf("%q arrived as %q", path, body)
		}
	}
}
