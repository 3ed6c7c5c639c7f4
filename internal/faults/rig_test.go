package faults

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/culvert-http/culvert"
)

// patience is how long a test waits for what has to happen at once. It is used
// up only where it never does.
const patience = 20 * time.Second

// way is one combination of protocol and method that streams both ways.
type way struct {
	protocol culvert.Protocol
	method   culvert.Method
}

func (w way) String() string { return fmt.Sprintf("%s/%s", w.protocol, w.method) }

func (w way) options(more ...culvert.TransportOption) []culvert.TransportOption {
	return append([]culvert.TransportOption{culvert.WithProtocol(w.protocol), culvert.WithMethod(w.method)}, more...)
}

func ways(methods ...culvert.Method) []way {
	var all []way
	for _, protocol := range []culvert.Protocol{culvert.ProtocolGRPC, culvert.ProtocolGRPCWeb, culvert.ProtocolConnect} {
		for _, method := range methods {
			all = append(all, way{protocol, method})
		}
	}
	return all
}

func duplexWays() []way { return ways(culvert.MethodExchange, culvert.MethodSession) }

// server is an application behind the tunnel.
type server struct {
	http    *http.Server
	address string
	served  chan error
}

// newServer listens at an address, or at any if it is empty.
func newServer(tb testing.TB, app http.Handler, address string) *server {
	tb.Helper()
	if address == "" {
		address = "127.0.0.1:0"
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		tb.Fatal(err)
	}
	s := serve(app, listener)
	tb.Cleanup(s.close)
	return s
}

func serve(app http.Handler, listener net.Listener) *server {
	mux := http.NewServeMux()
	mux.Handle(culvert.NewHandler(app, culvert.WithMaxExchangesPerConn(10_000)))
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	s := &server{
		http: &http.Server{
			Handler:   mux,
			Protocols: protocols,
			HTTP2: &http.HTTP2Config{
				MaxReceiveBufferPerStream:     culvert.DefaultStreamWindow,
				MaxReceiveBufferPerConnection: culvert.DefaultConnWindow,
				SendPingTimeout:               pingInterval,
				PingTimeout:                   pingTimeout,
			},
			ReadHeaderTimeout: patience,
		},
		address: listener.Addr().String(),
		served:  make(chan error, 1),
	}
	go func() { s.served <- s.http.Serve(listener) }()
	return s
}

// close cuts off everything, as a process that dies.
func (s *server) close() { _ = s.http.Close() }

func newTransport(tb testing.TB, address string, opts ...culvert.TransportOption) *culvert.Transport {
	tb.Helper()
	transport, err := culvert.NewTransport("http://"+address, opts...)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = transport.Close() })
	return transport
}

func newRequest(ctx context.Context, path string, body io.Reader) *http.Request {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://app.example"+path, body)
	if err != nil {
		panic(err) // of this package's own literals
	}
	return req
}

// start begins an exchange that must reach its response head.
func start(tb testing.TB, transport *culvert.Transport, path string, body io.Reader) *http.Response {
	tb.Helper()
	resp, err := transport.RoundTrip(newRequest(tb.Context(), path, body))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = resp.Body.Close() })
	return resp
}

// checkFailure says what is wrong with the error of an exchange that something
// ended: every one is the tunnel's, and that of a body a truncation too.
func checkFailure(err error, ofBody bool) error {
	_, typed := errors.AsType[*culvert.Error](err)
	switch {
	case err == nil:
		return errors.New("a clean end")
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("nothing happened: %w", err)
	case !typed:
		return fmt.Errorf("not a *culvert.Error: %T %w", err, err)
	case ofBody && !errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("not a truncation: %w", err)
	}
	return nil
}

func await[T any](tb testing.TB, what string, from <-chan T) T {
	tb.Helper()
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	select {
	case value := <-from:
		return value
	case <-timeout.C:
		tb.Fatalf("%s: nothing in %s", what, patience)
		panic("unreachable")
	}
}

// eventually polls until a condition holds.
func eventually(tb testing.TB, what string, holds func() bool) {
	tb.Helper()
	for deadline := time.Now().Add(patience); !holds(); {
		if time.Now().After(deadline) {
			tb.Fatalf("%s: not in %s", what, patience)
		}
		<-time.After(time.Millisecond)
	}
}

// holdResources has a test fail if goroutines or descriptors are left over when
// all that it cleans up later is gone. It comes first in a test.
func holdResources(tb testing.TB) {
	tb.Helper()
	goroutines := runtime.NumGoroutine()
	before, _ := descriptors()
	tb.Cleanup(func() {
		var goroutinesNow, now int
		eventually := func() bool {
			goroutinesNow = runtime.NumGoroutine()
			now, _ = descriptors()
			return goroutinesNow <= goroutines && now <= before
		}
		for deadline := time.Now().Add(patience); !eventually(); {
			if time.Now().After(deadline) {
				stacks := make([]byte, 64<<10)
				stacks = stacks[:runtime.Stack(stacks, true)]
				tb.Errorf("%d goroutines, %d before; %d descriptors, %d before\n%s",
					goroutinesNow, goroutines, now, before, stacks)
				return
			}
			<-time.After(time.Millisecond)
		}
	})
}

func descriptors() (int, error) {
	entries, err := os.ReadDir("/proc/self/fd")
	return len(entries), err
}
