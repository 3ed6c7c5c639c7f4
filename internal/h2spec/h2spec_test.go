package h2spec

import (
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/summerwind/h2spec/config"
	"github.com/summerwind/h2spec/generic"
	"github.com/summerwind/h2spec/hpack"
	"github.com/summerwind/h2spec/http2"
	"github.com/summerwind/h2spec/spec"

	"github.com/culvert-http/culvert"
	"github.com/culvert-http/culvert/internal/server"
	"github.com/culvert-http/culvert/internal/testcert"
)

const (
	// answerTime is what h2spec waits for an answer. A case that expects none takes
	// as long.
	answerTime = 2 * time.Second
	// tries is how often a case is tried that bare net/http passes: on a busy machine
	// an answer may take longer.
	tries = 5
	// overTLS is behind the names of servers with TLS.
	overTLS = " over TLS"
)

// TestNothingFailsThatNetHTTPPasses runs every case against each server.
func TestNothingFailsThatNetHTTPPasses(t *testing.T) {
	app := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = io.WriteString(w, "the answer of the application\n")
	})
	targets := map[string]*config.Config{
		"bare":    startBare(t, app, nil),
		"serve":   startServe(t, app, nil),
		"gateway": startGateway(t, app, nil),
	}
	for name, launch := range map[string]func(testing.TB, http.Handler, *tls.Config) *config.Config{
		"bare": startBare, "serve": startServe, "gateway": startGateway,
	} {
		targets[name+overTLS] = launch(t, app, certificate(t))
	}
	failed := make(map[string]map[string]error)
	var mu sync.Mutex
	var all sync.WaitGroup
	for name, target := range targets {
		all.Go(func() {
			result := failures(target)
			mu.Lock()
			defer mu.Unlock()
			failed[name] = result
		})
	}
	all.Wait()
	for _, how := range []string{"", overTLS} {
		bare := failed["bare"+how]
		t.Logf("%d cases%s; bare net/http fails %d, serve %d, a gateway %d",
			len(cases()), how, len(bare), len(failed["serve"+how]), len(failed["gateway"+how]))
		if len(cases()) < 140 || len(bare) > 20 {
			t.Errorf("of %d cases%s bare net/http fails %v", len(cases()), how, bare)
		}
		for _, name := range []string{"serve" + how, "gateway" + how} {
			compare(t, name, targets[name], failed[name], bare)
		}
	}
}

// compare says which cases a server fails that bare net/http passes.
func compare(t *testing.T, name string, target *config.Config, failed, bare map[string]error) {
	t.Helper()
	for id, err := range failed {
		if bare[id] != nil {
			continue
		}
		for range tries {
			if err = runCase(target, id); err == nil {
				break
			}
		}
		if err != nil {
			t.Errorf("%s: %s: %v", name, id, err)
		}
	}
}

// cases returns all cases by what they are called. They are made anew each time,
// for h2spec keeps results in them.
func cases() map[string]*spec.TestCase {
	all := make(map[string]*spec.TestCase)
	var add func(*spec.TestGroup)
	add = func(group *spec.TestGroup) {
		for i, one := range append(group.Tests, group.StrictTests...) {
			all[fmt.Sprintf("%s/%d %s", group.ID(), i+1, one.Desc)] = one
		}
		for _, inner := range group.Groups {
			add(inner)
		}
	}
	add(generic.Spec())
	add(http2.Spec())
	add(hpack.Spec())
	return all
}

// failures runs all cases against a server, and returns those that it fails.
func failures(target *config.Config) map[string]error {
	failed := make(map[string]error)
	for id := range cases() {
		if err := runCase(target, id); err != nil {
			failed[id] = err
		}
	}
	return failed
}

func runCase(target *config.Config, id string) error {
	one := cases()[id]
	conn, err := spec.Dial(target)
	if err != nil {
		return err
	}
	defer conn.Close()
	err = one.Run(target, conn)
	if spec.NewTestResult(one, 0, err, 0).Skipped {
		return nil
	}
	return err
}

// certificate returns what servers with TLS are told.
func certificate(tb testing.TB) *tls.Config {
	tb.Helper()
	secured, err := testcert.NewServer()
	if err != nil {
		tb.Fatal(err)
	}
	return secured
}

func startBare(tb testing.TB, h http.Handler, secured *tls.Config) *config.Config {
	tb.Helper()
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(secured != nil)
	protocols.SetUnencryptedHTTP2(secured == nil)
	srv := &http.Server{
		Handler: h, Protocols: protocols, ReadHeaderTimeout: time.Minute, TLSConfig: secured,
		ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError),
	}
	listener, target := listen(tb, secured)
	go func() {
		if secured != nil {
			_ = srv.ServeTLS(listener, "", "")
		} else {
			_ = srv.Serve(listener)
		}
	}()
	tb.Cleanup(func() { _ = srv.Close() })
	return target
}

func startServe(tb testing.TB, h http.Handler, secured *tls.Config) *config.Config {
	tb.Helper()
	pattern, handler := culvert.NewHandler(h)
	return start(tb, server.Config{Pattern: pattern, Handler: handler, Services: []string{culvert.ServiceName}, TLS: secured})
}

func startGateway(tb testing.TB, h http.Handler, secured *tls.Config) *config.Config {
	tb.Helper()
	behind := startServe(tb, h, nil)
	transport, err := culvert.NewTransport("http://" + behind.Addr())
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = transport.Close() })
	return start(tb, server.Config{Pattern: "/", Handler: culvert.NewGateway(transport), TLS: secured})
}

func start(tb testing.TB, served server.Config) *config.Config {
	tb.Helper()
	served.Logger = slog.New(slog.DiscardHandler)
	srv, err := server.New(served)
	if err != nil {
		tb.Fatal(err)
	}
	listener, target := listen(tb, served.TLS)
	go func() { _ = srv.Serve(listener) }()
	tb.Cleanup(func() { _ = srv.Close() })
	return target
}

func listen(tb testing.TB, secured *tls.Config) (net.Listener, *config.Config) {
	tb.Helper()
	listener, err := new(net.ListenConfig).Listen(tb.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	addr, _ := listener.Addr().(*net.TCPAddr)
	return listener, &config.Config{
		Host: "127.0.0.1", Port: addr.Port, Path: "/", Timeout: answerTime, MaxHeaderLen: 4000, Strict: true,
		TLS: secured != nil, Insecure: true,
	}
}
