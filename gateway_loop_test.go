package culvert_test

import (
	"crypto/rand"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"connectrpc.com/connect"

	"github.com/culvert-http/culvert"
	culvertv1 "github.com/culvert-http/culvert/api/culvert/v1"
	"github.com/culvert-http/culvert/api/culvert/v1/culvertv1connect"
	"github.com/culvert-http/culvert/internal/upstream"
)

// expectLoop checks that a response says that the request goes in a circle, and
// that it went round few times.
func expectLoop(t *testing.T, got seen, rounds, most int32) {
	t.Helper()
	if got.Status != http.StatusLoopDetected || !strings.HasPrefix(got.Header.Get("Proxy-Status"), "culvert; error=proxy_loop_detected") {
		t.Errorf("got %d %q, Proxy-Status %q, want 508", got.Status, got.Body, got.Header.Get("Proxy-Status"))
	}
	if rounds > most {
		t.Errorf("noticed after %d requests, want %d at most", rounds, most)
	}
}

// counted counts the requests of a handler.
func counted(h http.Handler) (http.Handler, *atomic.Int32) {
	var count atomic.Int32
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		count.Add(1)
		h.ServeHTTP(w, r)
	}), &count
}

// startLater gives the address of a server before its handler is there.
func startLater(tb testing.TB) (addr string, serve func(http.Handler)) {
	tb.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	server := httptest.NewUnstartedServer(nil)
	server.Listener.Close()
	server.Listener = listener
	server.Config.Protocols = new(http.Protocols)
	server.Config.Protocols.SetHTTP1(true)
	server.Config.Protocols.SetUnencryptedHTTP2(true)
	return listener.Addr().String(), func(h http.Handler) {
		server.Config.Handler = h
		server.Start()
		tb.Cleanup(server.Close)
	}
}

func TestGatewayToItself(t *testing.T) {
	requests := 0
	gateway := newGateway(func(r *http.Request) (*http.Response, error) {
		requests++
		return newRoundTripper(t, r.Header.Get("X-Self"), http1).RoundTrip(r)
	})
	addr := startServer(t, gateway)
	got := observe(t, newFrontClient(t, addr, http1), func(r *http.Request) { r.Header.Set("X-Self", addr) })
	expectLoop(t, got, int32(requests), 1)
}

// The bound of hops ends a circle of gateways that do not know their names, as
// one that was restarted.
func TestGatewayHops(t *testing.T) {
	requests := 0
	addr, serve := startLater(t)
	serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests++
		newGateway(func(r *http.Request) (*http.Response, error) {
			return newRoundTripper(t, addr, http1).RoundTrip(r)
		}, culvert.WithMaxHops(4)).ServeHTTP(w, r)
	}))
	expectLoop(t, observe(t, newFrontClient(t, addr, http1), nil), int32(requests), 5)
}

// Two gateways have each other for their server: what one sends is an RPC, which
// the other takes for a request like any other.
func TestGatewaysToEachOther(t *testing.T) {
	for _, method := range []culvert.Method{
		culvert.MethodAuto, culvert.MethodSession, culvert.MethodExchange, culvert.MethodDownload, culvert.MethodUpload, culvert.MethodCall,
	} {
		for _, protocol := range []culvert.Protocol{culvert.ProtocolGRPC, culvert.ProtocolGRPCWeb, culvert.ProtocolConnect} {
			t.Run(fmt.Sprintf("%v/%v", method, protocol), func(t *testing.T) {
				first, serveFirst := startLater(t)
				opts := []culvert.TransportOption{culvert.WithMethod(method), culvert.WithProtocol(protocol)}
				few := culvert.WithMaxRequests(20) // which end the circle, should nothing else do
				one, requests := counted(culvert.NewGateway(newRigTransport(t, "http://"+startServer(t,
					culvert.NewGateway(newRigTransport(t, "http://"+first, opts...), few)), opts...), few))
				serveFirst(one)
				client := newFrontClient(t, first, http1)
				for range 3 { // with what is learnt from the one before
					requests.Store(0)
					got := observe(t, client, nil)
					expectLoop(t, got, requests.Load(), 6)
				}
			})
		}
	}
}

// A server that forwards to a gateway which leads back to it.
func TestGatewayAndServeInACircle(t *testing.T) {
	for _, method := range []culvert.Method{culvert.MethodSession, culvert.MethodExchange, culvert.MethodCall} {
		t.Run(method.String(), func(t *testing.T) {
			addr, serve := startLater(t)
			proxy, forwarded := counted(newUpstream(t, "http://"+addr))
			serve(culvert.NewGateway(newTunnelTo(t, proxy, culvert.WithMethod(method))))
			expectLoop(t, observe(t, newFrontClient(t, addr, http1), nil), forwarded.Load(), 1)
		})
	}
}

func newUpstream(tb testing.TB, target string) *upstream.Proxy {
	tb.Helper()
	proxy, err := upstream.New(target, upstream.Options{Via: "culvert-" + rand.Text()[:8]})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(proxy.Close)
	return proxy
}

// A handler is mounted around the mux that it is mounted on.
func TestHandlerAroundItself(t *testing.T) {
	mux := http.NewServeMux()
	inner, runs := counted(mux)
	mux.Handle(culvert.NewHandler(inner))
	server := "http://" + startServer(t, mux)
	for _, method := range []culvert.Method{culvert.MethodSession, culvert.MethodExchange, culvert.MethodDownload, culvert.MethodUpload, culvert.MethodCall} {
		t.Run(method.String(), func(t *testing.T) {
			runs.Store(0)
			gateway := startServer(t, culvert.NewGateway(newRigTransport(t, server, culvert.WithMethod(method))))
			got := observe(t, newFrontClient(t, gateway, http1), func(r *http.Request) { nested(t, r, 1) })
			expectLoop(t, got, runs.Load(), 1)
		})
	}
}

// With another handler between, it is that one's RPC which is refused.
func TestHandlerAroundItselfAndAnother(t *testing.T) {
	mux := http.NewServeMux()
	_, between := culvert.NewHandler(mux)
	inner, runs := counted(between)
	mux.Handle(culvert.NewHandler(inner))
	gateway := startServer(t, culvert.NewGateway(newRigTransport(t, "http://"+startServer(t, mux))))
	got := observe(t, newFrontClient(t, gateway, http1), func(r *http.Request) { nested(t, r, 2) })
	if got.Status != http.StatusBadRequest || !strings.Contains(got.Body, "failed_precondition") || runs.Load() != 1 {
		t.Errorf("got %d %q after %d runs", got.Status, got.Body, runs.Load())
	}
}

// nested makes a request an RPC that carries one, and so on.
func nested(tb testing.TB, r *http.Request, depth int) {
	tb.Helper()
	body := `{"path":"/"}`
	for range depth - 1 {
		body = fmt.Sprintf(`{"method":"POST","path":%q,"headers":[{"name":"content-type","value":"application/json"}],"text":%q}`,
			culvertv1connect.HTTPServiceCallProcedure, body)
	}
	r.Method, r.URL.Path, r.URL.RawQuery = http.MethodPost, culvertv1connect.HTTPServiceCallProcedure, ""
	r.Header.Set("Content-Type", "application/json")
	r.Body, r.ContentLength = io.NopCloser(strings.NewReader(body)), int64(len(body))
}

// The error of the RPC itself is a precondition that is not met.
func TestHandlerAroundItselfByRPC(t *testing.T) {
	mux := http.NewServeMux()
	mux.Handle(culvert.NewHandler(mux))
	client := culvertv1connect.NewHTTPServiceClient(http.DefaultClient, "http://"+startServer(t, mux))
	_, err := client.Call(t.Context(), connect.NewRequest(&culvertv1.HTTPRequest{
		Method: "POST", Path: culvertv1connect.HTTPServiceCallProcedure,
		Headers: []*culvertv1.Field{{Name: "content-type", Value: "application/json"}}, Text: "{}",
	}))
	if connect.CodeOf(err) != connect.CodeFailedPrecondition {
		t.Errorf("got %v, want failed_precondition", err)
	}
}

// What passes several tunnels, each another one, arrives; as does what is tunnelled
// twice over.
func TestChainsAreNoLoops(t *testing.T) {
	app := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "arrived") })
	for _, method := range []culvert.Method{culvert.MethodSession, culvert.MethodExchange, culvert.MethodDownload} {
		t.Run(method.String(), func(t *testing.T) {
			var rear http.Handler = app
			for range 3 {
				gateway := startServer(t, culvert.NewGateway(newTunnelTo(t, rear, culvert.WithMethod(method))))
				rear = newUpstream(t, "http://"+gateway)
			}
			if got := observe(t, newFrontClient(t, startServer(t, rear), http1), nil); got.Body != "arrived" {
				t.Errorf("three in a row: %d %q", got.Status, got.Body)
			}

			mux := http.NewServeMux()
			mux.Handle(culvert.NewHandler(app))
			outer := startServer(t, culvert.NewGateway(newTunnelTo(t, mux, culvert.WithMethod(method))))
			twice := startServer(t, culvert.NewGateway(newRigTransport(t, "http://"+outer, culvert.WithMethod(method))))
			if got := observe(t, newFrontClient(t, twice, http1), nil); got.Body != "arrived" {
				t.Errorf("one in another: %d %q", got.Status, got.Body)
			}
		})
	}
}
