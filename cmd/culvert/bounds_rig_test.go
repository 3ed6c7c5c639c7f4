package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alecthomas/kong"

	"github.com/culvert-http/culvert"
	culvertv1 "github.com/culvert-http/culvert/api/culvert/v1"
	"github.com/culvert-http/culvert/internal/server"
)

// short is a bound on time. Tests wait for it to pass, and never measure it.
const short = "50ms"

// boundApp is an application that does what is asked of it:
//
//	/             answers with its request's body
//	/size?n=      answers with so many bytes
//	/field?n=     with a field of so many bytes
//	/fields?n=    with so many fields
//	/hold         answers when it is let go, or its client has gone
//	/endless      writes until its client has gone
type boundApp struct {
	begun chan struct{} // of /hold and /endless
	ended chan struct{} // of /endless
	free  chan struct{}
	once  sync.Once
}

func newBoundApp() *boundApp {
	return &boundApp{begun: make(chan struct{}, 100), ended: make(chan struct{}, 100), free: make(chan struct{})}
}

func (a *boundApp) letGo() { a.once.Do(func() { close(a.free) }) }

// ServeHTTP implements http.Handler.
func (a *boundApp) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	n, _ := strconv.Atoi(r.FormValue("n"))
	switch r.URL.Path {
	case "/size":
		_, _ = w.Write(make([]byte, n))
	case "/field":
		w.Header().Set("Long", strings.Repeat("x", n))
	case "/fields":
		for i := range n {
			w.Header().Set("Field-"+strconv.Itoa(i), "x")
		}
	case "/hold":
		a.begun <- struct{}{}
		select {
		case <-a.free:
		case <-r.Context().Done():
		}
	case "/endless":
		a.begun <- struct{}{}
		chunk := make([]byte, 64<<10)
		for {
			if _, err := w.Write(chunk); err != nil {
				a.ended <- struct{}{}
				return
			}
		}
	default:
		_, _ = io.Copy(w, r.Body)
	}
}

// withoutBound is the name of a row whose flag the tests do not set, to see that
// its test fails then: CULVERT_WITHOUT=serve/max-fields.
var withoutBound = os.Getenv("CULVERT_WITHOUT")

// dropBound leaves that flag out of a command line.
func dropBound(args []string) []string {
	command, flag, _ := strings.Cut(withoutBound, "/")
	if command != args[0] {
		return args
	}
	return slices.DeleteFunc(args, func(arg string) bool { return strings.HasPrefix(arg, "--"+flag+"=") })
}

// parseCommand parses a command line.
func parseCommand(tb testing.TB, args ...string) *commands {
	tb.Helper()
	args = dropBound(args)
	parsed := newCommands()
	parser, err := kong.New(parsed, parserOptions(io.Discard, io.Discard)...)
	must(tb, err)
	_, err = parser.Parse(args)
	must(tb, err)
	return parsed
}

// startBound starts a command that listens, and returns its address.
type startBound func(tb testing.TB, app http.Handler, flags ...string) string

// startBoundServe starts culvert serve in front of app.
func startBoundServe(tb testing.TB, app http.Handler, flags ...string) string {
	tb.Helper()
	upstream := httptest.NewServer(app)
	tb.Cleanup(upstream.Close)
	c := &parseCommand(tb, append([]string{"serve", upstream.URL, "--grace=1s", "--no-access-log"}, flags...)...).Serve
	target, err := openTarget(c.Target, &c.upstreamFlags)
	must(tb, err)
	tb.Cleanup(func() { _ = target.close() })
	log := c.newLog(io.Discard)
	access, err := c.accessFlags.open(log.Logger)
	must(tb, err)
	tb.Cleanup(access.close)
	srv, err := c.newServer(target, server.NewHealth(culvert.ServiceName), nil, access, log)
	must(tb, err)
	return serveBound(tb, srv)
}

// startBoundGateway starts culvert gateway in front of a culvert serve that has
// no bounds of its own that matter.
func startBoundGateway(tb testing.TB, app http.Handler, flags ...string) string {
	tb.Helper()
	return startGatewayTo(tb, "http://"+startBoundServe(tb, app), flags...)
}

func startGatewayTo(tb testing.TB, url string, flags ...string) string {
	tb.Helper()
	c := &parseCommand(tb, append([]string{"gateway", url, "--no-access-log"}, flags...)...).Gateway
	log := c.newLog(io.Discard)
	transport, release, err := c.transportFlags.open(url, log.Logger, c.transportOptions()...)
	must(tb, err)
	tb.Cleanup(release)
	tb.Cleanup(func() { _ = transport.Close() })
	access, err := c.alone().open(log.Logger)
	must(tb, err)
	srv, err := c.newServer(transport, nil, access, log)
	must(tb, err)
	return serveBound(tb, srv)
}

func serveBound(tb testing.TB, srv *server.Server) string {
	tb.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(tb, err)
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

// newBoundTransport returns a transport to a serve, that sends nothing twice.
func newBoundTransport(tb testing.TB, addr string, opts ...culvert.TransportOption) *culvert.Transport {
	tb.Helper()
	transport, err := culvert.NewTransport("http://"+addr, append(opts, culvert.WithTries(1))...)
	must(tb, err)
	tb.Cleanup(func() { _ = transport.Close() })
	return transport
}

// newPlainClient returns a client of plain HTTP that makes a connection for each
// request.
func newPlainClient(tb testing.TB) *http.Client {
	tb.Helper()
	return &http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}
}

// answer is what came of a request.
type answer struct {
	status int
	header http.Header
	body   string
	cause  culvertv1.Cause // of the error
	err    error
}

// ask makes a request, and reads its response.
func ask(tb testing.TB, rt http.RoundTripper, method, url string, header http.Header, body io.Reader) answer {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, url, body)
	must(tb, err)
	if header != nil {
		r.Header = header
	}
	resp, err := rt.RoundTrip(r)
	if err != nil {
		return failed(err)
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if err != nil {
		return failed(err)
	}
	return answer{status: resp.StatusCode, header: resp.Header, body: string(got)}
}

func failed(err error) answer {
	got := answer{err: err}
	if failure, ok := errors.AsType[*culvert.Error](err); ok {
		got.cause = failure.Cause
	}
	return got
}

// get is ask for the common case.
func get(tb testing.TB, rt http.RoundTripper, addr, target string) answer {
	tb.Helper()
	return ask(tb, rt, http.MethodGet, "http://"+addr+target, nil, nil)
}

func (a answer) wantOK(tb testing.TB) {
	tb.Helper()
	if a.err != nil || a.status != http.StatusOK {
		tb.Errorf("got %d, %v, want 200", a.status, a.err)
	}
}

func (a answer) wantCause(tb testing.TB, want culvertv1.Cause) {
	tb.Helper()
	if a.err == nil || a.cause != want {
		tb.Errorf("got %d, %v, want %v", a.status, a.err, want)
	}
}

func (a answer) wantStatus(tb testing.TB, want int, fields ...string) {
	tb.Helper()
	if a.err != nil || a.status != want {
		tb.Errorf("got %d, %v, want %d", a.status, a.err, want)
		return
	}
	for _, name := range fields {
		if a.header.Get(name) == "" {
			tb.Errorf("status %d has no %s", a.status, name)
		}
	}
}

// until tries until it is so.
func until(tb testing.TB, what string, so func() bool) {
	tb.Helper()
	deadline := time.Now().Add(patience)
	for tick := time.NewTicker(5 * time.Millisecond); !so(); <-tick.C {
		if time.Now().After(deadline) {
			tb.Fatalf("waited in vain: %s", what)
		}
	}
}

// await waits for a channel.
func await[T any](tb testing.TB, what string, c <-chan T) T {
	tb.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(patience):
		tb.Fatalf("waited in vain: %s", what)
		panic("unreachable")
	}
}

// runCall runs culvert call, and returns its exit status and its stderr.
func runCall(args ...string) (int, string) {
	var stdout, stderr bytes.Buffer
	status := run(dropBound(append([]string{"call"}, args...)), &stdout, &stderr)
	return status, stderr.String()
}
