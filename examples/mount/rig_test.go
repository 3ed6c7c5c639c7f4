package main

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/time/rate"

	"github.com/culvert-http/culvert"
)

// patience is how long a test waits for what must happen: not a time that
// anything is expected to take.
const patience = time.Minute

const (
	testToken = "let-me-in"
	ann       = "Basic YW5uOnNlY3JldA==" // ann:secret
)

// testConfig is that of the program, with limits that tests do not get to.
func testConfig() config {
	return config{
		token: testToken, users: map[string]string{"ann": "secret"},
		rpcs: rate.NewLimiter(rate.Inf, 0), requests: rate.NewLimiter(rate.Inf, 0),
	}
}

// rig is a server with its log.
type rig struct {
	*recorder

	address string
	direct  *http.Client
}

func newRig(t *testing.T, config config) *rig {
	t.Helper()
	recorder := newRecorder()
	config.log = slog.New(recorder)
	return newRigOf(t, recorder, newHandler(config))
}

func newRigOf(t *testing.T, recorder *recorder, handler http.Handler) *rig {
	t.Helper()
	server := httptest.NewUnstartedServer(nil)
	server.Config = newServer(handler)
	server.Start()
	t.Cleanup(server.Close)
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return &rig{
		recorder: recorder, address: strings.TrimPrefix(server.URL, "http://"),
		direct: &http.Client{Transport: transport, Timeout: patience},
	}
}

// tunnel returns a client through the tunnel whose RPCs bear a token, and what
// closes it.
func (r *rig) tunnel(t *testing.T, token string, opts ...culvert.TransportOption) (client *http.Client, closeClient func()) {
	t.Helper()
	transport, err := culvert.NewTransport("http://"+r.address, append([]culvert.TransportOption{
		culvert.WithHTTPHeader(http.Header{"Authorization": {"Bearer " + token}}),
	}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	closeOnce := sync.OnceFunc(func() {
		if err := transport.Close(); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(closeOnce)
	return &http.Client{Transport: transport, Timeout: patience}, closeOnce
}

// recorder is a slog.Handler that keeps a line of each request and of each panic.
type recorder struct {
	mu    sync.Mutex
	lines []string
}

func newRecorder() *recorder { return new(recorder) }

func (r *recorder) Enabled(context.Context, slog.Level) bool { return true }
func (r *recorder) WithAttrs([]slog.Attr) slog.Handler       { return r }
func (r *recorder) WithGroup(string) slog.Handler            { return r }

func (r *recorder) Handle(_ context.Context, record slog.Record) error {
	values := make(map[string]slog.Value)
	record.Attrs(func(attr slog.Attr) bool {
		values[attr.Key] = attr.Value
		return true
	})
	line := fmt.Sprintf("%s %s %s %s", values["at"], values["method"], values["path"], values["status"])
	if record.Message == "panic" {
		line = fmt.Sprintf("%s panic: %s", values["at"], values["fault"])
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lines = append(r.lines, line)
	return nil
}

func (r *recorder) log() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.lines)
}

// wantLog waits until the log has as many lines as are wanted, for those of RPCs
// come after their clients have what they asked for.
func (r *recorder) wantLog(t *testing.T, want ...string) {
	t.Helper()
	deadline := time.After(patience)
	poll := time.NewTicker(time.Millisecond)
	defer poll.Stop()
	for len(r.log()) < len(want) {
		select {
		case <-poll.C:
		case <-deadline:
			t.Fatalf("logged %q, want %q", r.log(), want)
		}
	}
	if diff := cmp.Diff(want, r.log()); diff != "" {
		t.Errorf("log (-want +got):\n%s", diff)
	}
}
