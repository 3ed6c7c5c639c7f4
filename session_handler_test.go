package culvert_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"

	"github.com/culvert-http/culvert"
	culvertv1 "github.com/culvert-http/culvert/api/culvert/v1"
	"github.com/culvert-http/culvert/api/culvert/v1/culvertv1connect"
)

// A session is no exchange, and one that ends is no failure.
func TestObserverHearsOfTheExchangesOfASession(t *testing.T) {
	var mu sync.Mutex
	var records []culvert.Record
	app := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
	_, handler := culvert.NewHandler(app, culvert.WithObserver(func(_ context.Context, r culvert.Record) {
		mu.Lock()
		defer mu.Unlock()
		records = append(records, r)
	}))
	var calls sync.WaitGroup
	calls.Add(1)
	server := serveRig(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer calls.Done()
		handler.ServeHTTP(w, r)
	}), true)
	transport := newRigTransport(t, server.URL, culvert.WithMethod(culvert.MethodSession))
	for range 3 {
		resp, err := transport.RoundTrip(newRigRequest(t, http.MethodGet, "/", nil))
		if err != nil {
			t.Fatal(err)
		}
		readBody(t, resp)
	}
	if err := transport.Close(); err != nil {
		t.Fatal(err)
	}
	calls.Wait() // one RPC was all

	if len(records) != 3 {
		t.Errorf("%d records, want one for each of 3 exchanges", len(records))
	}
	for _, r := range records {
		if r.Err != nil || r.Method != http.MethodGet || r.Peer.Method != "Session" {
			t.Errorf("record is %+v, want that of a GET", r)
		}
	}
}

// What goes wrong with one exchange of a session, also beside its handler, is the
// end of that exchange, and of no other.
func TestExchangeOfASessionFailsAlone(t *testing.T) {
	for name, fault := range map[string]struct {
		handler http.HandlerFunc
		observe func()
		ok      bool // the response was sent before
	}{
		"handler leaves its goroutine": {handler: func(http.ResponseWriter, *http.Request) { runtime.Goexit() }},
		"observer panics":              {observe: func() { panic("observer") }, ok: true},
		"observer leaves":              {observe: runtime.Goexit, ok: true},
	} {
		t.Run(name, func(t *testing.T) {
			release := make(chan struct{})
			app := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				switch {
				case r.URL.Path == "/slow":
					w.(http.Flusher).Flush()
					<-release
				case fault.handler != nil:
					fault.handler(w, r)
				}
			})
			tunnel := newTunnel(t, app,
				culvert.WithLogger(slog.New(slog.DiscardHandler)),
				culvert.WithObserver(func(_ context.Context, r culvert.Record) {
					if fault.observe != nil && r.Path == "/fault" {
						fault.observe()
					}
				}))
			transport := newRigTransport(t, tunnel.url, culvert.WithMethod(culvert.MethodSession))
			slow, err := transport.RoundTrip(newRigRequest(t, http.MethodGet, "/slow", nil))
			if err != nil {
				t.Fatal(err)
			}
			resp, err := transport.RoundTrip(newRigRequest(t, http.MethodGet, "/fault", nil))
			if (err == nil) != fault.ok {
				t.Errorf("the exchange: %v", err)
			}
			if err == nil {
				readBody(t, resp)
			} else if tunnelErr := new(culvert.Error); !errors.As(err, &tunnelErr) || tunnelErr.Cause != culvertv1.Cause_CAUSE_HANDLER_FAILED {
				t.Errorf("the exchange: %v", err)
			}
			close(release)
			readBody(t, slow)
		})
	}
}

// Section 20.11: what a client does wrong with the messages of a session ends its
// RPC with the cause, and never with OK.
func TestSessionEndsWithTheCauseOfABadMessage(t *testing.T) {
	tunnel := newTunnel(t, http.NotFoundHandler())
	hello, err := proto.Marshal(&culvertv1.SessionRequest{Frames: []*culvertv1.ClientFrame{{
		Hello: &culvertv1.Hello{Version: 1, Window: 256 << 10},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	for name, row := range map[string]struct {
		message string
		cause   culvertv1.Cause
	}{
		"over the bound":     {"\x00\x7f\xff\xff\xff", bodyTooLarge},
		"unknown flags":      {"\x04\x00\x00\x00\x00", malformedRequest},
		"cut in its prefix":  {"\x00\x00", malformedRequest},
		"cut":                {"\x00\x00\x00\x00\x09x", malformedRequest},
		"not to be parsed":   {"\x00\x00\x00\x00\x01\xff", malformedRequest},
		"as it is, and over": {"", 0},
	} {
		t.Run(name, func(t *testing.T) {
			for _, w := range rpcWires {
				if !w.carries("Exchange") || w.codec != "proto" {
					continue
				}
				body := append(envelope(0, hello), row.message...)
				got := tunnel.call(t, w, "Session", bytes.NewReader(body))
				if got.cause != row.cause || (got.code == 0) != (row.cause == 0) {
					t.Errorf("%s: %s", w, got)
				}
			}
		})
	}
}

// Sessions that carry nothing take no place among the exchanges, and have bounds of
// their own.
func TestTooManySessionsAreRefused(t *testing.T) {
	const most = 3
	for name, opts := range map[string][]culvert.HandlerOption{
		"in all":          {culvert.WithMaxSessions(most), culvert.WithMaxExchanges(1)},
		"of a connection": {culvert.WithMaxExchangesPerConn(most), culvert.WithMaxExchanges(1)},
	} {
		t.Run(name, func(t *testing.T) {
			tunnel := newTunnel(t, http.NotFoundHandler(), opts...)
			client := culvertv1connect.NewHTTPServiceClient(tunnel.h2, tunnel.url, connect.WithGRPC())
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			call := func() {
				t.Helper()
				if _, err := client.Call(ctx, connect.NewRequest(&culvertv1.HTTPRequest{Path: "/"})); err != nil {
					t.Error(err)
				}
			}
			call() // so that there is one connection
			open := func() error {
				stream := client.Session(ctx)
				t.Cleanup(func() {
					_ = stream.CloseRequest()
					_ = stream.CloseResponse()
				})
				hello := &culvertv1.ClientFrame{Hello: &culvertv1.Hello{Version: 1, Window: 256 << 10}}
				err := stream.Send(&culvertv1.SessionRequest{Frames: []*culvertv1.ClientFrame{hello}})
				if err == nil || errors.Is(err, io.EOF) { // Receive says more
					_, err = stream.Receive()
				}
				return err
			}
			for range most {
				if err := open(); err != nil {
					t.Fatal(err)
				}
			}
			call()
			if err := open(); connect.CodeOf(err) != connect.CodeResourceExhausted || !strings.Contains(err.Error(), "3 sessions at once") {
				t.Errorf("one more ended with %v", err)
			}
			call()
		})
	}
}
