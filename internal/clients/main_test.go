// Package clients tests the tunnel with the clients that others use: curl,
// grpcurl, generated clients of gRPC and Connect, and WebSocket libraries at both
// ends.
package clients

import (
	"context"
	"net"
	"net/http"
	"os"
	"os/exec"
	"testing"
	"time"

	"connectrpc.com/connect"
	"go.uber.org/goleak"

	"github.com/culvert-http/culvert"
	"github.com/culvert-http/culvert/internal/oracle"
	"github.com/culvert-http/culvert/internal/server"
)

func TestMain(m *testing.M) {
	// net/http waits half a second before it closes an HTTP/1.1 connection whose
	// request it did not read to the end.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("net/http.(*conn).closeWriteAndWait"))
}

// patience is how long a test waits for what must happen: not a time that
// anything is expected to take.
const patience = 60 * time.Second

func testContext(tb testing.TB) context.Context {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), patience)
	tb.Cleanup(cancel)
	return ctx
}

// serve serves app behind the tunnel, as `culvert serve` does, until the test is
// over, and returns the server's address. Web pages of the origins are let in.
func serve(tb testing.TB, app http.Handler, origins ...string) string {
	tb.Helper()
	pattern, handler := culvert.NewHandler(app)
	return serveConfig(tb, server.Config{
		Pattern: pattern, Handler: handler, Services: []string{culvert.ServiceName}, Reflection: true,
		CORS: server.CORS{Origins: origins},
	})
}

// serveConfig serves what config says until the test is over, and returns the
// address.
func serveConfig(tb testing.TB, config server.Config) string {
	tb.Helper()
	srv, err := server.New(config)
	if err != nil {
		tb.Fatalf("make the server: %v", err)
	}
	listener, err := new(net.ListenConfig).Listen(tb.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatalf("listen: %v", err)
	}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(listener) }()
	tb.Cleanup(func() {
		_ = srv.Close()
		if err := <-served; err != nil {
			tb.Errorf("serve: %v", err)
		}
	})
	return listener.Addr().String()
}

// need finds a program, or skips the test with the line that installs it. In
// continuous checks all programs must be there.
func need(tb testing.TB, program, install string) string {
	tb.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		missingProgram(tb, program, install)
	}
	return path
}

// missingProgram ends the test for want of what the line would install.
func missingProgram(tb testing.TB, program, install string) {
	tb.Helper()
	if os.Getenv("CI") == "true" {
		tb.Fatalf("%s is not installed: %s", program, install)
	}
	tb.Skipf("%s is not installed: %s", program, install)
}

// services returns a client of each library and protocol for the server at addr.
// Those of connect-go share one HTTP/2 connection.
func services(tb testing.TB, addr string) map[string]oracle.Service {
	tb.Helper()
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	transport := &http.Transport{Protocols: protocols}
	tb.Cleanup(transport.CloseIdleConnections)
	client, base := &http.Client{Transport: transport}, "http://"+addr
	return map[string]oracle.Service{
		"connect":      oracle.ConnectService(client, base),
		"connect json": oracle.ConnectService(client, base, connect.WithProtoJSON()),
		"grpc":         oracle.ConnectService(client, base, connect.WithGRPC()),
		"grpc json":    oracle.ConnectService(client, base, connect.WithGRPC(), connect.WithProtoJSON()),
		"grpc-web":     oracle.ConnectService(client, base, connect.WithGRPCWeb()),
		"grpc-go":      oracle.GRPCService(tb, addr),
	}
}

// eachService runs a test with every client.
func eachService(t *testing.T, addr string, test func(*testing.T, oracle.Service)) {
	t.Helper()
	for name, service := range services(t, addr) {
		t.Run(name, func(t *testing.T) { test(t, service) })
	}
}
