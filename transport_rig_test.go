package culvert_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/culvert-http/culvert"
)

const rigURL = "http://app.example"

// rig is a server with the tunnel in front of an application, and a transport to
// it.
type rig struct {
	server    *httptest.Server
	handler   *culvert.Handler
	transport *culvert.Transport
	client    *http.Client
}

// newRig serves app through the tunnel, over HTTP/2 without TLS and HTTP/1.1.
func newRig(tb testing.TB, app http.Handler, opts ...culvert.TransportOption) *rig {
	tb.Helper()
	return newRigSpeaking(tb, app, true, opts...)
}

func newRigSpeaking(tb testing.TB, app http.Handler, http2 bool, opts ...culvert.TransportOption) *rig {
	tb.Helper()
	pattern, handler := culvert.NewHandler(app)
	mux := http.NewServeMux()
	mux.Handle(pattern, handler)
	r := &rig{server: serveRig(tb, mux, http2), handler: handler}
	r.transport = newRigTransport(tb, r.server.URL, opts...)
	r.client = &http.Client{Transport: r.transport}
	return r
}

func serveRig(tb testing.TB, handler http.Handler, http2 bool) *httptest.Server {
	tb.Helper()
	server := httptest.NewUnstartedServer(handler)
	server.Config.Protocols = new(http.Protocols)
	server.Config.Protocols.SetHTTP1(true)
	server.Config.Protocols.SetUnencryptedHTTP2(http2)
	server.Listener = culvert.Guard(server.Config, server.Listener)
	server.Start()
	tb.Cleanup(server.Close)
	return server
}

func newRigTransport(tb testing.TB, url string, opts ...culvert.TransportOption) *culvert.Transport {
	tb.Helper()
	transport, err := culvert.NewTransport(url, opts...)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := transport.Close(); err != nil {
			tb.Error(err)
		}
	})
	return transport
}

func (r *rig) get(tb testing.TB, path string) *http.Response {
	tb.Helper()
	return r.do(tb, newRigRequest(tb, http.MethodGet, path, nil))
}

func (r *rig) do(tb testing.TB, req *http.Request) *http.Response {
	tb.Helper()
	resp, err := r.transport.RoundTrip(req)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = resp.Body.Close() })
	return resp
}

// newRigRequest returns a request that gives up before the test does.
func newRigRequest(tb testing.TB, method, path string, body io.Reader) *http.Request {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), 20*time.Second)
	tb.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, method, rigURL+path, body)
	if err != nil {
		tb.Fatal(err)
	}
	return req
}

func readBody(tb testing.TB, resp *http.Response) string {
	tb.Helper()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		tb.Fatalf("read body: %v", err)
	}
	if err := resp.Body.Close(); err != nil {
		tb.Fatalf("close body: %v", err)
	}
	return string(body)
}

// opaque hides what a body is, so that it has to be streamed.
type opaque struct{ io.Reader }

// way is one combination of what a transport can be told to use.
type way struct {
	protocol culvert.Protocol
	method   culvert.Method
	http2    bool
}

func (w way) String() string {
	version := "http1"
	if w.http2 {
		version = "http2"
	}
	return fmt.Sprintf("%s/%s/%s", version, w.protocol, w.method)
}

// duplex reports whether both directions stream, which needs HTTP/2.
func (w way) duplex() bool {
	return w.method == culvert.MethodExchange || w.method == culvert.MethodSession
}

func (w way) streamsResponse() bool {
	return w.duplex() || w.method == culvert.MethodDownload
}

func (w way) streamsRequest() bool {
	return w.duplex() || w.method == culvert.MethodUpload
}

// unwatched says that net/http's server does not notice a client that goes: over
// HTTP/1.1 it looks for that only once a request was read to its end, which is
// after the last message of a stream.
func (w way) unwatched() bool { return !w.http2 && w.method == culvert.MethodUpload }

func (w way) options() []culvert.TransportOption {
	return []culvert.TransportOption{culvert.WithProtocol(w.protocol), culvert.WithMethod(w.method)}
}

var protocols = []culvert.Protocol{culvert.ProtocolGRPC, culvert.ProtocolGRPCWeb, culvert.ProtocolConnect}

func ways() []way {
	var all []way
	for _, http2 := range []bool{true, false} {
		for _, protocol := range protocols {
			for _, method := range []culvert.Method{
				culvert.MethodSession, culvert.MethodExchange, culvert.MethodDownload, culvert.MethodUpload, culvert.MethodCall,
			} {
				if w := (way{protocol, method, http2}); http2 || !w.duplex() {
					all = append(all, w)
				}
			}
		}
	}
	return all
}

// newRig serves app and returns a transport that uses the combination.
func (w way) newRig(tb testing.TB, app http.Handler) *rig {
	tb.Helper()
	return newRigSpeaking(tb, app, w.http2, w.options()...)
}

func mebibytes(n int) string { return strings.Repeat("0123456789abcdef", n<<20/16) }
