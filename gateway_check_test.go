package culvert_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
	"time"

	culvertv1 "github.com/culvert-http/culvert/api/culvert/v1"

	"github.com/culvert-http/culvert"
)

// TestGatewayRefusesRequests has targets and methods that go no further.
func TestGatewayRefusesRequests(t *testing.T) {
	addr := startServer(t, newGateway(func(r *http.Request) (*http.Response, error) {
		return textResponse(r.Method + " " + r.URL.Host + " " + r.URL.RequestURI()), nil
	}))
	for line, want := range map[string]string{
		"GET http://b.example/x?y HTTP/1.1\r\nHost: a.example": "200 GET b.example /x?y",
		"GET http://b.example HTTP/1.1\r\nHost: a.example":     "200 GET b.example /",
		"GET HTTPS://b.example:1?q HTTP/1.1\r\nHost: a":        "200 GET b.example:1 /?q",
		"OPTIONS http://b.example HTTP/1.1\r\nHost: a":         "200 OPTIONS b.example *",
		"OPTIONS * HTTP/1.1\r\nHost: a":                        "200 OPTIONS a *",
		"GET * HTTP/1.1\r\nHost: a":                            "400",
		"GET ftp://b.example/ HTTP/1.1\r\nHost: a":             "400",
		"GET http://u:p@b.example/ HTTP/1.1\r\nHost: a":        "400",
		"GET http:///x HTTP/1.1\r\nHost: a":                    "400",
		"GET b.example:80 HTTP/1.1\r\nHost: a":                 "400",
		"GET / HTTP/1.1\r\nHost: u@a":                          "400",
		"GET / HTTP/1.1\r\nHost: a/b":                          "400",
		"CONNECT b.example:80 HTTP/1.1\r\nHost: b.example:80":  "501",
		"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1, 2":    "400",
		"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: x":    "501",
	} {
		resp, body := rawRequest(t, addr, line+"\r\n\r\n")
		if got := fmt.Sprintf("%d %s", resp.StatusCode, body); !strings.HasPrefix(got, want) {
			t.Errorf("%q: got %q, want %q", line, got, want)
		}
	}
}

// TestGatewayChecksResponses has responses that could be taken for something
// else.
func TestGatewayChecksResponses(t *testing.T) {
	for name, change := range map[string]func(*http.Response){
		"two lengths": func(r *http.Response) { r.Header["Content-Length"] = []string{"5", "6"} },
		"two lengths by case": func(r *http.Response) {
			r.Header["Content-Length"], r.Header["content-length"] = []string{"5"}, []string{"6"}
		},
		"length with a sign":    func(r *http.Response) { r.Header["Content-Length"] = []string{"+5"} },
		"length as a list":      func(r *http.Response) { r.Header["Content-Length"] = []string{"5, 5"} },
		"length beyond numbers": func(r *http.Response) { r.Header["Content-Length"] = []string{"9223372036854775808"} },
		"length of another":     func(r *http.Response) { r.Header["Content-Length"], r.ContentLength = []string{"5"}, 6 },
		"transfer encoding":     func(r *http.Response) { r.Header["transfer-encoding"] = []string{"chunked"} },
		"name with a line":      func(r *http.Response) { r.Header["A\r\nB"] = []string{"x"} },
		"name with a space":     func(r *http.Response) { r.Header["A "] = []string{"x"} },
		"empty name":            func(r *http.Response) { r.Header[""] = []string{"x"} },
		"value with a line":     func(r *http.Response) { r.Header["A"] = []string{"x\r\nSet-Cookie: a=b"} },
		"value with NUL":        func(r *http.Response) { r.Header["A"] = []string{"\x00"} },
		"status 0":              func(r *http.Response) { r.StatusCode = 0 },
		"status 99":             func(r *http.Response) { r.StatusCode = 99 },
		"status 103":            func(r *http.Response) { r.StatusCode = 103 },
		"status 1000":           func(r *http.Response) { r.StatusCode = 1000 },
	} {
		t.Run(name, func(t *testing.T) {
			addr := startServer(t, newGateway(func(*http.Request) (*http.Response, error) {
				resp := textResponse("hello")
				change(resp)
				return resp, nil
			}))
			eachVersion(t, func(t *testing.T, version httpVersion) {
				got := observe(t, newFrontClient(t, addr, version), nil)
				if got.Status != http.StatusBadGateway || !strings.HasPrefix(got.Header.Get("Proxy-Status"), "culvert; error=http_protocol_error") {
					t.Errorf("got %+v, want 502", got)
				}
			})
		})
	}
}

// TestGatewayCutsResponses has bodies that are not what their head promised.
func TestGatewayCutsResponses(t *testing.T) {
	for name, change := range map[string]func(*http.Response){
		"too short": func(r *http.Response) { r.ContentLength = 6 },
		"too long":  func(r *http.Response) { r.ContentLength = 4 },
		"broken":    func(r *http.Response) { r.Body = io.NopCloser(io.MultiReader(r.Body, brokenDuplex{})) },
	} {
		t.Run(name, func(t *testing.T) {
			addr := startServer(t, newGateway(func(*http.Request) (*http.Response, error) {
				resp := textResponse("hello")
				change(resp)
				return resp, nil
			}))
			eachVersion(t, func(t *testing.T, version httpVersion) {
				client := newFrontClient(t, addr, version)
				resp, err := client.Get("http://example.com/")
				if err != nil {
					return // cut before the head was seen
				}
				defer resp.Body.Close()
				if body, err := io.ReadAll(resp.Body); err == nil {
					t.Errorf("got %q, which ended well", body)
				}
			})
		})
	}
}

// TestGatewayRefusesAuthorities has those that net/http takes from HTTP/2.
func TestGatewayRefusesAuthorities(t *testing.T) {
	gateway := newGateway(func(r *http.Request) (*http.Response, error) { return textResponse(r.Host), nil })
	for _, authority := range []string{"u@a.example", "u:p@a.example", "a.example/x", "a.example?x", "a.example#x", `a.example\x`, "a b", "a\x00"} {
		request := httptest.NewRequest(http.MethodGet, "/", http.NoBody)
		request.Proto, request.ProtoMajor, request.ProtoMinor = "HTTP/2.0", 2, 0
		request.Host = authority
		recorder := httptest.NewRecorder()
		gateway.ServeHTTP(recorder, request)
		if recorder.Code != http.StatusBadRequest {
			t.Errorf("%q: status %d with %q, want 400", authority, recorder.Code, recorder.Body)
		}
	}
}

// TestGatewayChecksLengthsItself has a ResponseWriter that does not, as net/http's
// does.
func TestGatewayChecksLengthsItself(t *testing.T) {
	for name, length := range map[string]int64{"too short": 6, "too long": 4} {
		t.Run(name, func(t *testing.T) {
			gateway := newGateway(func(*http.Request) (*http.Response, error) {
				resp := textResponse("hello")
				resp.ContentLength = length
				return resp, nil
			})
			recorder := httptest.NewRecorder()
			defer func() {
				if got := recorder.Body.Len(); int64(got) > length {
					t.Errorf("%d bytes of %d went out", got, length)
				}
				if cut := recover(); cut != http.ErrAbortHandler {
					t.Errorf("the response ended with %v, want that it is cut", cut)
				}
			}()
			gateway.ServeHTTP(recorder, httptest.NewRequest(http.MethodGet, "/", http.NoBody))
		})
	}
}

// TestGatewayDropsConnectionFields has a response that talks about its
// connection.
func TestGatewayDropsConnectionFields(t *testing.T) {
	addr := startServer(t, newGateway(func(*http.Request) (*http.Response, error) {
		resp := textResponse("hello")
		resp.Header["connection"] = []string{"close, x-hop"}
		resp.Header["X-Hop"] = []string{"1"}
		resp.Header["keep-alive"] = []string{"timeout=1"}
		resp.Header["x-lower"] = []string{"kept"}
		return resp, nil
	}))
	eachVersion(t, func(t *testing.T, version httpVersion) {
		got := observe(t, newFrontClient(t, addr, version), nil)
		if len(got.Header) != 1 || got.Header.Get("X-Lower") != "kept" {
			t.Errorf("fields %v, want X-Lower alone", got.Header)
		}
	})
}

// refused is the error of a dial that nobody answers.
func refused(tb testing.TB) error {
	tb.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	listener.Close()
	_, err = net.Dial("tcp", listener.Addr().String())
	if !errors.Is(err, syscall.ECONNREFUSED) {
		tb.Fatalf("dial: %v", err)
	}
	return err
}

// TestGatewayStatus has every failure of the tunnel answered with its status, and
// nothing told that is nobody's business.
func TestGatewayStatus(t *testing.T) {
	secret := errors.New("10.1.2.3: secret")
	of := func(cause culvertv1.Cause) error { return &culvert.Error{Cause: cause, Err: secret, Remote: true} }
	for _, test := range []struct {
		err        error
		status     int
		proxyError string
	}{
		{of(culvertv1.Cause_CAUSE_UNSPECIFIED), 502, "proxy_internal_error"},
		{of(culvertv1.Cause_CAUSE_MALFORMED_REQUEST), 502, "http_protocol_error"},
		{of(culvertv1.Cause_CAUSE_REQUEST_HEAD_TOO_LARGE), 431, "http_request_error"},
		{of(culvertv1.Cause_CAUSE_REQUEST_BODY_TOO_LARGE), 413, "http_request_error"},
		{of(culvertv1.Cause_CAUSE_TOO_MANY_EXCHANGES), 503, "connection_limit_reached"},
		{of(culvertv1.Cause_CAUSE_RESPONSE_TOO_LARGE), 502, "http_response_body_size"},
		{of(culvertv1.Cause_CAUSE_CANCELED), 502, "connection_terminated"},
		{of(culvertv1.Cause_CAUSE_DEADLINE_EXCEEDED), 504, "http_response_timeout"},
		{of(culvertv1.Cause_CAUSE_HANDLER_FAILED), 502, "http_response_incomplete"},
		{of(culvertv1.Cause_CAUSE_UPSTREAM_FAILED), 502, "http_response_incomplete"},
		{of(culvertv1.Cause_CAUSE_RESPONSE_TRUNCATED), 502, "http_response_incomplete"},
		{of(culvertv1.Cause_CAUSE_UPSTREAM_UNREACHABLE), 502, "destination_unavailable"},
		{of(culvertv1.Cause_CAUSE_DRAINING), 503, "destination_unavailable"},
		{of(culvertv1.Cause_CAUSE_LOOP), 508, "proxy_loop_detected"},
		{of(culvertv1.Cause_CAUSE_UNAUTHENTICATED), 502, "http_request_denied"},
		{of(culvertv1.Cause_CAUSE_PERMISSION_DENIED), 502, "http_request_denied"},
		{of(culvertv1.Cause_CAUSE_MALFORMED_RESPONSE), 502, "http_protocol_error"},
		{of(culvertv1.Cause_CAUSE_HTTP2_REQUIRED), 502, "proxy_configuration_error"},
		{of(culvertv1.Cause_CAUSE_RATE_LIMITED), 429, "connection_limit_reached"},
		{of(culvertv1.Cause(999)), 502, "proxy_internal_error"},
		{refused(t), 502, "connection_refused"},
		{&culvert.Error{Cause: culvertv1.Cause_CAUSE_UPSTREAM_UNREACHABLE, Err: refused(t)}, 502, "connection_refused"},
		{&net.OpError{Op: "dial", Err: &net.DNSError{Name: "secret", IsNotFound: true}}, 502, "dns_error"},
		{context.DeadlineExceeded, 504, "http_response_timeout"},
		{fmt.Errorf("secret: %w", io.EOF), 502, "connection_terminated"},
		{secret, 502, "http_response_incomplete"},
	} {
		t.Run(fmt.Sprint(test.err), func(t *testing.T) {
			addr := startServer(t, newGateway(func(*http.Request) (*http.Response, error) { return nil, test.err }))
			got := observe(t, newFrontClient(t, addr, http1), nil)
			proxyStatus := got.Header.Get("Proxy-Status")
			if got.Status != test.status || !strings.HasPrefix(proxyStatus, "culvert; error="+test.proxyError+"; details=") {
				t.Errorf("got %d, Proxy-Status %q", got.Status, proxyStatus)
			}
			if strings.Contains(got.Body+proxyStatus, "secret") || strings.Count(got.Body, "\n") != 1 {
				t.Errorf("body %q", got.Body)
			}
			if retry := got.Header.Get("Retry-After"); (retry != "") != (test.status == 503 || test.status == 429) {
				t.Errorf("Retry-After %q with status %d", retry, got.Status)
			}
		})
	}
	if len(culvertv1.Cause_name) != 19 {
		t.Errorf("%d causes, want all of them in this table", len(culvertv1.Cause_name))
	}
}

func TestGatewayLimit(t *testing.T) {
	entered, leave := make(chan struct{}), make(chan struct{})
	records := make(chan culvert.Record, 1000)
	gateway := newGateway(func(*http.Request) (*http.Response, error) {
		entered <- struct{}{}
		<-leave
		return textResponse("hello"), nil
	}, culvert.WithMaxRequests(1), culvert.WithGatewayObserver(func(_ context.Context, r culvert.Record) { records <- r }))
	addr := startServer(t, gateway)
	client := newFrontClient(t, addr, http1)

	first := make(chan seen, 1)
	go func() { first <- observe(t, client, nil) }()
	<-entered
	second := observe(t, client, nil)
	if second.Status != 503 || second.Header.Get("Retry-After") == "" {
		t.Errorf("over the limit: %+v", second)
	}
	if record := <-records; record.Status != 503 || record.Peer.Protocol != "HTTP/1.1" {
		t.Errorf("record %+v", record)
	}

	shut := make(chan error, 1)
	go func() { shut <- gateway.Shutdown(t.Context()) }()
	waitFor(t, func() bool { return strings.Contains(observe(t, client, nil).Body, "shutting down") })
	select {
	case err := <-shut:
		t.Errorf("Shutdown returned %v while a request runs", err)
	default:
	}
	close(leave)
	if got := <-first; got.Status != 200 || got.Body != "hello" {
		t.Errorf("the first: %+v", got)
	}
	if err := <-shut; err != nil {
		t.Errorf("Shutdown: %v", err)
	}
}

func waitFor(tb testing.TB, condition func() bool) {
	tb.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		if condition() {
			return
		}
	}
	tb.Fatal("waited in vain")
}
