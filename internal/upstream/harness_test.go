package upstream

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	culvertv1 "github.com/culvert-http/culvert/api/culvert/v1"
)

// patience is how long a test waits for what must come.
const patience = 10 * time.Second

func testContext(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

// targetKinds are all forms of a target.
var targetKinds = []string{"http", "h2c", "https", "https-h1", "unix", "unix+h2c"}

// startUpstream serves a handler as a kind of target, and returns the target and
// the options that reach it.
func startUpstream(t testing.TB, kind string, handler http.Handler) (string, Options) {
	t.Helper()
	server := httptest.NewUnstartedServer(handler)
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	server.Config.Protocols = new(http.Protocols)
	server.Config.Protocols.SetHTTP1(true)
	var socket string
	switch kind {
	case "h2c", "unix+h2c":
		server.Config.Protocols.SetUnencryptedHTTP2(true)
	case "https":
		server.Config.Protocols.SetHTTP2(true)
		server.EnableHTTP2 = true
	}
	if strings.HasPrefix(kind, "unix") {
		socket = filepath.Join(t.TempDir(), "s")
		listener, err := net.Listen("unix", socket)
		if err != nil {
			t.Fatal(err)
		}
		server.Listener.Close()
		server.Listener = listener
	}
	t.Cleanup(server.Close)
	if !strings.HasPrefix(kind, "https") {
		server.Start()
		if socket != "" {
			return kind + ":" + socket, Options{}
		}
		return kind + "://" + server.Listener.Addr().String(), Options{}
	}
	server.StartTLS()
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	return server.URL, Options{TLS: &tls.Config{RootCAs: roots}}
}

// outcome is how an exchange failed.
type outcome struct {
	cause      culvertv1.Cause
	notStarted bool
	err        error
}

// front is a plain net/http server, for HTTP/1.1 and h2c, with a proxy as its
// handler.
type front struct {
	proxy    *Proxy
	address  string
	outcomes chan outcome
	h1, h2   *http.Client
}

func (f *front) url(path string) string { return "http://" + f.address + path }

// client is the front's client for a version of HTTP, h1 or h2.
func (f *front) client(version string) *http.Client {
	if version == "h2" {
		return f.h2
	}
	return f.h1
}

func startFront(t testing.TB, target string, options Options) *front {
	t.Helper()
	return startFrontWith(t, target, options, func(h http.Handler) http.Handler { return h })
}

func startFrontWith(t testing.TB, target string, options Options, middleware func(http.Handler) http.Handler) *front {
	t.Helper()
	proxy, err := New(target, options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(proxy.Close)
	f := &front{proxy: proxy, outcomes: make(chan outcome, 100)}
	server := httptest.NewUnstartedServer(middleware(http.HandlerFunc(f.serve)))
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	server.Config.Protocols = new(http.Protocols)
	server.Config.Protocols.SetHTTP1(true)
	server.Config.Protocols.SetUnencryptedHTTP2(true)
	server.Start()
	t.Cleanup(server.Close)
	f.address = server.Listener.Addr().String()
	f.h1, f.h2 = newClient(t, false), newClient(t, true)
	return f
}

// serve does what ServeHTTP does, and notes how it failed.
func (f *front) serve(w http.ResponseWriter, r *http.Request) {
	x := newExchange(f.proxy, w, r)
	if err := x.run(); err != nil {
		cause, notStarted := causeOf(err)
		f.outcomes <- outcome{cause, notStarted, err}
		x.abort(err)
	}
}

func newClient(t testing.TB, h2 bool) *http.Client {
	t.Helper()
	transport := &http.Transport{
		Protocols:             new(http.Protocols),
		DisableCompression:    true,
		ExpectContinueTimeout: patience,
	}
	transport.Protocols.SetHTTP1(!h2)
	transport.Protocols.SetUnencryptedHTTP2(h2)
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// failed waits for an exchange to fail.
func (f *front) failed(t testing.TB) outcome {
	t.Helper()
	select {
	case o := <-f.outcomes:
		return o
	case <-time.After(patience):
		t.Fatal("no exchange failed")
		return outcome{}
	}
}

func (f *front) do(t testing.TB, version string, r *http.Request) *http.Response {
	t.Helper()
	response, err := f.client(version).Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { response.Body.Close() })
	return response
}

func newRequest(t testing.TB, method, url string, body io.Reader) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(testContext(t), method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func readAll(t testing.TB, r io.Reader) string {
	t.Helper()
	content, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// startRaw serves each TCP connection with a function, which may lie. The
// connection is closed when it returns.
func startRaw(t testing.TB, serve func(net.Conn)) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				serve(conn)
			}()
		}
	}()
	t.Cleanup(func() {
		listener.Close()
		<-done
	})
	return listener.Addr().String()
}
