package server

import (
	"context"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/culvert-http/culvert"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

func TestMain(m *testing.M) {
	// net/http waits half a second before it closes an HTTP/1.1 connection whose
	// request it did not read to the end.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("net/http.(*conn).closeWriteAndWait"))
}

// patience is how long a test waits for what must happen: not a time that
// anything is expected to take.
const patience = 30 * time.Second

func testContext(tb testing.TB) context.Context {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), patience)
	tb.Cleanup(cancel)
	return ctx
}

// tunnelConfig is that of a tunnel to app.
func tunnelConfig(app http.Handler, opts ...culvert.HandlerOption) Config {
	pattern, handler := culvert.NewHandler(app, opts...)
	return Config{
		Pattern:    pattern,
		Handler:    handler,
		Services:   []string{culvert.ServiceName},
		Health:     NewHealth(culvert.ServiceName),
		Reflection: true,
	}
}

// start serves config on addr and returns the server and the address that it got.
func start(tb testing.TB, config Config, addr string) (*Server, string) {
	tb.Helper()
	srv, err := New(config)
	if err != nil {
		tb.Fatal(err)
	}
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		tb.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(listener) }()
	tb.Cleanup(func() {
		_ = srv.Close()
		if err := <-served; err != nil {
			tb.Errorf("Serve() = %v", err)
		}
	})
	return srv, listener.Addr().String()
}

const anyPort = "127.0.0.1:0"

func dialGRPC(tb testing.TB, addr string) *grpc.ClientConn {
	tb.Helper()
	conn, err := grpc.NewClient("passthrough:///"+addr,
		grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = conn.Close() })
	return conn
}

// newClient returns a client of HTTP/1.1, or of HTTP/2 without TLS.
func newClient(tb testing.TB, http2 bool) *http.Client {
	tb.Helper()
	var protocols http.Protocols
	protocols.SetHTTP1(!http2)
	protocols.SetUnencryptedHTTP2(http2)
	transport := &http.Transport{Protocols: &protocols}
	tb.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}
