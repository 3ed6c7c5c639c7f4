package h2spec

import (
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
)

const (
	// answerTime is what h2spec waits for an answer. A case that expects none takes
	// as long.
	answerTime = 2 * time.Second
	// tries is how often a case is tried that bare net/http passes: on a busy machine
	// an answer may take longer.
	tries = 5
)

// TestNothingFailsThatNetHTTPPasses runs every case against each server.
func TestNothingFailsThatNetHTTPPasses(t *testing.T) {
	app := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = io.WriteString(w, "the answer of the application\n")
	})
	targets := map[string]*config.Config{
		"bare":    startBare(t, app),
		"serve":   startServe(t, app),
		"gateway": startGateway(t, app),
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
	t.Logf("%d cases; bare net/http fails %d, serve %d, a gateway %d",
		len(cases()), len(failed["bare"]), len(failed["serve"]), len(failed["gateway"]))
	if len(cases()) < 140 || len(failed["bare"]) > 20 {
		t.Errorf("of %d cases bare net/http fails %v", len(cases()), failed["bare"])
	}
	for _, name := range []string{"serve", "gateway"} {
		for id, err := range failed[name] {
			if failed["bare"][id] != nil {
				continue
			}
			for range tries {
				if err = runCase(targets[name], id); err == nil {
					break
				}
			}
			if err != nil {
				t.Errorf("%s: %s: %v", name, id, err)
			}
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

func startBare(tb testing.TB, h http.Handler) *config.Config {
	tb.Helper()
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	srv := &http.Server{
		Handler: h, Protocols: protocols, ReadHeaderTimeout: time.Minute,
		ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError),
	}
	listener, target := listen(tb)
	go func() { _ = srv.Serve(listener) }()
	tb.Cleanup(func() { _ = srv.Close() })
	return target
}

func startServe(tb testing.TB, h http.Handler) *config.Config {
	tb.Helper()
	pattern, handler := culvert.NewHandler(h)
	return start(tb, server.Config{Pattern: pattern, Handler: handler, Services: []string{culvert.ServiceName}})
}

func startGateway(tb testing.TB, h http.Handler) *config.Config {
	tb.Helper()
	behind := startServe(tb, h)
	transport, err := culvert.NewTransport("http://" + behind.Addr())
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = transport.Close() })
	return start(tb, server.Config{Pattern: "/", Handler: culvert.NewGateway(transport)})
}

func start(tb testing.TB, served server.Config) *config.Config {
	tb.Helper()
	served.Logger = slog.New(slog.DiscardHandler)
	srv, err := server.New(served)
	if err != nil {
		tb.Fatal(err)
	}
	listener, target := listen(tb)
	go func() { _ = srv.Serve(listener) }()
	tb.Cleanup(func() { _ = srv.Close() })
	return target
}

func listen(tb testing.TB) (net.Listener, *config.Config) {
	tb.Helper()
	listener, err := new(net.ListenConfig).Listen(tb.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	addr, _ := listener.Addr().(*net.TCPAddr)
	return listener, &config.Config{
		Host: "127.0.0.1", Port: addr.Port, Path: "/", Timeout: answerTime, MaxHeaderLen: 4000, Strict: true,
	}
}
