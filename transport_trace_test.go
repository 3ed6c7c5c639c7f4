package culvert_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/culvert-http/culvert"
)

// traced is what the hooks about a request were told.
type traced struct {
	mu     sync.Mutex // guards events
	events []string
	wrote  chan error // by WroteRequest
}

func (t *traced) add(event string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.events = append(t.events, fmt.Sprintf(event, args...))
}

func newTraced(ctx context.Context) (*traced, context.Context) {
	t := &traced{wrote: make(chan error, 1)}
	return t, httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(httptrace.GotConnInfo) { t.add("connection") },
		WroteHeaderField: func(name string, values []string) {
			if name != "Transfer-Encoding" { // HTTP/1.1's own
				t.add("%s: %q", name, values)
			}
		},
		WroteHeaders: func() { t.add("head") },
		WroteRequest: func(info httptrace.WroteRequestInfo) {
			t.add("request")
			t.wrote <- info.Err
		},
	})
}

// written returns the error that the request was written with.
func (t *traced) written(tb testing.TB, req *http.Request) error {
	tb.Helper()
	select {
	case err := <-t.wrote:
		return err
	case <-req.Context().Done():
		tb.Fatal("nothing says that the request was written")
		return nil
	}
}

// send sends a request and returns what the hooks were told until it was written.
// The order of fields is left to the transport.
func (t *traced) send(tb testing.TB, roundTripper http.RoundTripper, req *http.Request) []string {
	tb.Helper()
	resp, err := roundTripper.RoundTrip(req)
	if err != nil {
		tb.Fatal(err)
	}
	readBody(tb, resp)
	if err := t.written(tb, req); err != nil {
		tb.Errorf("request was written with error %v", err)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	isField := func(event string) bool { return strings.Contains(event, ":") }
	if first := slices.IndexFunc(t.events, isField); first >= 0 {
		count := slices.IndexFunc(t.events[first:], func(event string) bool { return !isField(event) })
		slices.Sort(t.events[first:][:count])
	}
	return t.events
}

func TestTransportTracesRequests(t *testing.T) {
	app := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) })
	requests := map[string]func() (method string, body io.Reader){
		"none":   func() (string, io.Reader) { return http.MethodGet, nil },
		"whole":  func() (string, io.Reader) { return http.MethodPost, strings.NewReader("hello") },
		"stream": func() (string, io.Reader) { return http.MethodPut, opaque{strings.NewReader("hello")} },
	}
	newRequest := func(t *testing.T, name string) (*traced, *http.Request) {
		method, body := requests[name]()
		req := newRigRequest(t, method, "/a", body)
		trace, ctx := newTraced(req.Context())
		req = req.WithContext(ctx)
		req.Host = "host.example"
		req.Header = http.Header{"User-Agent": {"test", "more"}, "X-Two": {"1", "2"}, "X-Raw": {"\xff"}}
		if name == "stream" {
			req.Trailer = http.Header{"X-Trailer": {"1"}}
		}
		return trace, req
	}
	want := make(map[string][]string)
	direct := serveRig(t, app, false)
	plain := &http.Transport{DisableCompression: true}
	t.Cleanup(plain.CloseIdleConnections)
	for name := range requests {
		trace, req := newRequest(t, name)
		req.URL.Host = direct.Listener.Addr().String()
		want[name] = trace.send(t, plain, req)
	}
	for _, w := range ways() {
		r := w.newRig(t, app)
		for name := range requests {
			t.Run(fmt.Sprint(w, "/", name), func(t *testing.T) {
				trace, req := newRequest(t, name)
				want := want[name]
				if w.method == culvert.MethodSession { // which has its connection before there is a request
					want = want[1:]
				}
				if diff := cmp.Diff(want, trace.send(t, r.transport, req)); diff != "" {
					t.Errorf("(- without the tunnel, + with it)\n%s", diff)
				}
			})
		}
	}
}

func TestTransportTracesBodiesThatAreNotSent(t *testing.T) {
	app := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/declined" {
			w.WriteHeader(http.StatusExpectationFailed)
			return
		}
		_, _ = io.Copy(io.Discard, r.Body)
	})
	bodyErr := errors.New("no more")
	for _, w := range ways() {
		if !w.streamsRequest() {
			continue
		}
		r := w.newRig(t, app)
		t.Run(w.String()+"/broken", func(t *testing.T) {
			req := newRigRequest(t, http.MethodPut, "/", io.MultiReader(strings.NewReader("hello"), errorReader{bodyErr}))
			trace, ctx := newTraced(req.Context())
			resp, err := r.transport.RoundTrip(req.WithContext(ctx))
			if err == nil {
				_ = resp.Body.Close()
			}
			if got := trace.written(t, req); !errors.Is(err, bodyErr) || !errors.Is(got, bodyErr) {
				t.Errorf("error %v, request was written with error %v", err, got)
			}
		})
		if !w.duplex() { // nothing else waits for a 100
			continue
		}
		t.Run(w.String()+"/declined", func(t *testing.T) {
			req := newRigRequest(t, http.MethodPut, "/declined", opaque{strings.NewReader("hello")})
			req.Header.Set("Expect", "100-continue")
			trace, ctx := newTraced(req.Context())
			readBody(t, r.do(t, req.WithContext(ctx)))
			if err := trace.written(t, req); err == nil {
				t.Error("request was written without an error")
			}
		})
	}
}
