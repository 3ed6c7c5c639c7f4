package hostile

import (
	"crypto/tls"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/culvert-http/culvert"
	"github.com/culvert-http/culvert/internal/server"
	"github.com/culvert-http/culvert/internal/testcert"
	"github.com/culvert-http/culvert/internal/upstream"
)

// application is what is behind everything. It counts the requests that it sees by
// what they are: "victim" and "smuggled" say so in their path or their body.
type application struct {
	mu   sync.Mutex
	seen []string
}

// ServeHTTP answers with what the request is.
func (a *application) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	kind := "200"
	switch {
	case err != nil:
		kind = "broken"
	case strings.Contains(r.Host, "evil"):
		kind = "evil"
	case trailed(r.Trailer):
		kind = "trailed"
	case strings.Contains(r.URL.Path+string(body), "/victim"):
		kind = "victim"
	case strings.Contains(r.URL.Path, "/smuggled") || string(body) == `{"path":"/smuggled"}`:
		kind = "smuggled"
	}
	a.mu.Lock()
	a.seen = append(a.seen, kind)
	a.mu.Unlock()
	if err != nil {
		w.WriteHeader(http.StatusBadRequest)
	}
	_, _ = io.WriteString(w, "kind="+kind)
}

// trailed reports whether there is a field in a trailer section that belongs into
// a head [RFC 9110 § 6.5.1].
func trailed(trailer http.Header) bool {
	for _, name := range []string{"Content-Length", "Transfer-Encoding", "Connection", "Host", "Authorization", "X-Forwarded-For"} {
		if len(trailer[name]) > 0 {
			return true
		}
	}
	return false
}

// forget returns what was seen since it was last called.
func (a *application) forget() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	seen := a.seen
	a.seen = nil
	return seen
}

// target is a server that the cases are sent to.
type target struct {
	name    string
	addr    string
	app     *application
	secured bool // with TLS
}

// String is what a test calls it.
func (t target) String() string {
	if t.secured {
		return t.name + " over TLS"
	}
	return t.name
}

// targets are bare net/http, serve in front of an application, without TLS and with
// it, and a gateway with everything behind it: serve, and another server with the
// application.
func targets(tb testing.TB) []target {
	tb.Helper()
	bare, served, secured, behind := new(application), new(application), new(application), new(application)
	return []target{
		{"bare", startBare(tb, bare), bare, false},
		{"serve", startServe(tb, served), served, false},
		{"serve", start(tb, withTLS(tb, serveConfig(secured))), secured, true},
		{"gateway", startGateway(tb, startServe(tb, newUpstream(tb, "http://"+startBare(tb, behind)))), behind, false},
	}
}

func withTLS(tb testing.TB, config server.Config) server.Config {
	tb.Helper()
	var err error
	if config.TLS, err = testcert.NewServer(); err != nil {
		tb.Fatal(err)
	}
	return config
}

// startBare serves h as net/http alone does, over HTTP/1.1 and h2c.
func startBare(tb testing.TB, h http.Handler) string {
	tb.Helper()
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	srv := &http.Server{
		Handler: h, Protocols: protocols, ReadHeaderTimeout: patience,
		ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError),
	}
	listener := listen(tb)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = srv.Serve(listener)
	}()
	tb.Cleanup(func() {
		_ = srv.Close()
		<-done
	})
	return listener.Addr().String()
}

// startServe serves h behind the tunnel, as culvert serve does.
func startServe(tb testing.TB, h http.Handler) string {
	tb.Helper()
	return start(tb, serveConfig(h))
}

func serveConfig(h http.Handler) server.Config {
	pattern, handler := culvert.NewHandler(h, culvert.WithLogger(slog.New(slog.DiscardHandler)))
	return server.Config{Pattern: pattern, Handler: handler, Services: []string{culvert.ServiceName}, Reflection: true, AnyHost: true}
}

// startGateway serves a gateway to the serve at addr, as culvert gateway does.
func startGateway(tb testing.TB, addr string) string {
	tb.Helper()
	transport, err := culvert.NewTransport("http://" + addr)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = transport.Close() })
	return start(tb, server.Config{Pattern: "/", Handler: culvert.NewGateway(transport), AnyHost: true})
}

func start(tb testing.TB, config server.Config) string {
	tb.Helper()
	config.HeaderTimeout, config.Logger = patience, slog.New(slog.DiscardHandler)
	srv, err := server.New(config)
	if err != nil {
		tb.Fatal(err)
	}
	listener := listen(tb)
	served := make(chan error, 1)
	go func() { served <- srv.Serve(listener) }()
	tb.Cleanup(func() {
		_ = srv.Close()
		if err := <-served; err != nil {
			tb.Error(err)
		}
	})
	return listener.Addr().String()
}

func newUpstream(tb testing.TB, name string) *upstream.Proxy {
	tb.Helper()
	proxy, err := upstream.New(name, upstream.Options{Via: "culvert-test", ResponseHeaderTimeout: patience})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(proxy.Close)
	return proxy
}

func listen(tb testing.TB) net.Listener {
	tb.Helper()
	var config net.ListenConfig
	listener, err := config.Listen(tb.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	return listener
}

// dial opens a connection that gives up when the test has waited enough.
func dial(tb testing.TB, addr string) *net.TCPConn {
	tb.Helper()
	conn, err := (&net.Dialer{}).DialContext(tb.Context(), "tcp", addr)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		tb.Fatal(err)
	}
	tcp, _ := conn.(*net.TCPConn)
	return tcp
}

// halfConn is a connection whose end can be closed for writing alone.
type halfConn interface {
	net.Conn
	CloseWrite() error
}

// dialTarget is dial, with TLS where the target has it.
func dialTarget(tb testing.TB, to target, protocols ...string) halfConn {
	tb.Helper()
	conn := dial(tb, to.addr)
	if !to.secured {
		return conn
	}
	return tls.Client(conn, &tls.Config{InsecureSkipVerify: true, NextProtos: protocols})
}
