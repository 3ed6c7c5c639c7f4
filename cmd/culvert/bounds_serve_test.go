package main

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"connectrpc.com/connect"

	"github.com/culvert-http/culvert"
	culvertv1 "github.com/culvert-http/culvert/api/culvert/v1"
	"github.com/culvert-http/culvert/api/culvert/v1/culvertv1connect"
)

func testMaxHeadBytes(t *testing.T) {
	addr := startBoundServe(t, newBoundApp(), "--max-head-bytes=1KiB")
	rt := newBoundTransport(t, addr)
	get(t, rt, addr, "/").wantOK(t)
	got := ask(t, rt, http.MethodGet, "http://app/", http.Header{"Long": {strings.Repeat("x", 1<<10)}}, nil)
	got.wantCause(t, culvertv1.Cause_CAUSE_REQUEST_HEAD_TOO_LARGE)
}

func testMaxFields(t *testing.T) {
	addr := startBoundServe(t, newBoundApp(), "--max-fields=3")
	rt := newBoundTransport(t, addr)
	get(t, rt, addr, "/").wantOK(t)
	got := ask(t, rt, http.MethodGet, "http://app/", http.Header{"Many": {"1", "2", "3", "4"}}, nil)
	got.wantCause(t, culvertv1.Cause_CAUSE_REQUEST_HEAD_TOO_LARGE)
}

func testMaxBodyBytes(t *testing.T) {
	addr := startBoundServe(t, newBoundApp(), "--max-body-bytes=1KiB")
	rt := newBoundTransport(t, addr, culvert.WithMethod(culvert.MethodCall))
	get(t, rt, addr, "/size?n=1024").wantOK(t)
	get(t, rt, addr, "/size?n=1025").wantCause(t, culvertv1.Cause_CAUSE_RESPONSE_TOO_LARGE)
	// The bound of a message is above that of the body in it.
	got := ask(t, rt, http.MethodPost, "http://app/", nil, strings.NewReader(strings.Repeat("x", 1025)))
	got.wantCause(t, culvertv1.Cause_CAUSE_REQUEST_BODY_TOO_LARGE)
}

func testMaxExchanges(t *testing.T) {
	for _, method := range []culvert.Method{culvert.MethodExchange, culvert.MethodSession} {
		t.Run(method.String(), func(t *testing.T) {
			app := newBoundApp()
			addr := startBoundServe(t, app, "--max-exchanges=1")
			rt, other := newBoundTransport(t, addr, culvert.WithMethod(method)), newBoundTransport(t, addr, culvert.WithMethod(method))
			get(t, rt, addr, "/").wantOK(t) // its session counts for nothing while it is idle
			get(t, other, addr, "/").wantOK(t)
			held := hold(t, app, rt, addr)
			got := get(t, other, addr, "/")
			got.wantCause(t, culvertv1.Cause_CAUSE_TOO_MANY_EXCHANGES)
			app.letGo()
			await(t, "the held exchange", held).wantOK(t)
			until(t, "room for another", func() bool { return get(t, other, addr, "/").err == nil })
		})
	}
}

// hold begins an exchange that lasts until the application is let go.
func hold(tb testing.TB, app *boundApp, rt http.RoundTripper, addr string) <-chan answer {
	tb.Helper()
	held := make(chan answer, 1)
	go func() { held <- get(tb, rt, addr, "/hold") }()
	tb.Cleanup(app.letGo)
	await(tb, "the application", app.begun)
	return held
}

func testMaxExchangesPerConn(t *testing.T) {
	app := newBoundApp()
	addr := startBoundServe(t, app, "--max-exchanges-per-conn=1")
	rt := newBoundTransport(t, addr, culvert.WithMethod(culvert.MethodExchange))
	hold(t, app, rt, addr)
	get(t, rt, addr, "/").wantCause(t, culvertv1.Cause_CAUSE_TOO_MANY_EXCHANGES)
	get(t, newBoundTransport(t, addr), addr, "/").wantOK(t)
}

func testMaxWait(t *testing.T) {
	app := newBoundApp()
	addr := startBoundServe(t, app, "--max-exchanges=1", "--max-wait="+short)
	rt := newBoundTransport(t, addr, culvert.WithMethod(culvert.MethodExchange))
	hold(t, app, rt, addr)
	get(t, rt, addr, "/").wantCause(t, culvertv1.Cause_CAUSE_TOO_MANY_EXCHANGES)

	app = newBoundApp()
	addr = startBoundServe(t, app, "--max-exchanges=1", "--max-wait=1h")
	rt = newBoundTransport(t, addr, culvert.WithMethod(culvert.MethodExchange))
	hold(t, app, rt, addr)
	const more = 8
	waited := make(chan answer, more)
	for range more {
		go func() { waited <- get(t, rt, addr, "/") }()
	}
	for range more - 1 { // no more wait than may run
		await(t, "one too many", waited).wantCause(t, culvertv1.Cause_CAUSE_TOO_MANY_EXCHANGES)
	}
	app.letGo()
	await(t, "the one that waited", waited).wantOK(t)
}

func newConnectClient(addr string, opts ...connect.ClientOption) culvertv1connect.HTTPServiceClient {
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	client := &http.Client{Transport: &http.Transport{Protocols: protocols, DisableKeepAlives: true}}
	return culvertv1connect.NewHTTPServiceClient(client, "http://"+addr, opts...)
}

// Whatever the protocol, a refusal says when to come again.
func testRatePerPeer(t *testing.T) {
	for name, opt := range map[string]connect.ClientOption{
		"connect": connect.WithProtoJSON(), "grpc": connect.WithGRPC(), "grpc-web": connect.WithGRPCWeb(),
	} {
		t.Run(name, func(t *testing.T) {
			addr := startBoundServe(t, newBoundApp(), "--rate-per-peer=0.001")
			client := newConnectClient(addr, opt)
			request := connect.NewRequest(&culvertv1.HTTPRequest{Path: "/"})
			if _, err := client.Call(t.Context(), request); err != nil {
				t.Fatal(err)
			}
			_, err := client.Call(t.Context(), request)
			rpcErr, ok := errors.AsType[*connect.Error](err)
			if !ok || rpcErr.Code() != connect.CodeResourceExhausted || rpcErr.Meta().Get("Retry-After") == "" {
				t.Errorf("got %v", err)
			}
		})
	}
	t.Run("session", func(t *testing.T) {
		addr := startBoundServe(t, newBoundApp(), "--rate-per-peer=0.001", "--burst-per-peer=2")
		rt := newBoundTransport(t, addr, culvert.WithMethod(culvert.MethodSession))
		get(t, rt, addr, "/").wantOK(t) // its session is the other one
		get(t, rt, addr, "/").wantCause(t, culvertv1.Cause_CAUSE_RATE_LIMITED)
	})
	t.Run("curl", func(t *testing.T) {
		addr := startBoundServe(t, newBoundApp(), "--rate-per-peer=0.001")
		header := http.Header{"Content-Type": {"application/json"}}
		url := "http://" + addr + "/" + culvert.ServiceName + "/Call"
		call := func(body string) answer {
			return ask(t, newPlainClient(t).Transport, http.MethodPost, url, header, strings.NewReader(body))
		}
		call(`{}`).wantOK(t)
		got := call(`{"this message": "is not decoded"}`)
		got.wantStatus(t, http.StatusTooManyRequests, "Retry-After")
		if !strings.Contains(got.body, "CAUSE_RATE_LIMITED") {
			t.Errorf("got %s", got.body)
		}
	})
}

func testBurstPerPeer(t *testing.T) {
	addr := startBoundServe(t, newBoundApp(), "--rate-per-peer=0.001", "--burst-per-peer=3")
	rt := newBoundTransport(t, addr, culvert.WithMethod(culvert.MethodExchange))
	for range 3 {
		get(t, rt, addr, "/").wantOK(t)
	}
	get(t, rt, addr, "/").wantCause(t, culvertv1.Cause_CAUSE_RATE_LIMITED)
}

func testHeadTimeout(t *testing.T) {
	addr := startBoundServe(t, newBoundApp(), "--head-timeout="+short)
	stalled, stop := io.Pipe()
	defer stop.Close()
	url := "http://" + addr + "/" + culvert.ServiceName + "/Call"
	got := ask(t, newPlainClient(t).Transport, http.MethodPost, url, http.Header{"Content-Type": {"application/json"}}, stalled)
	got.wantStatus(t, http.StatusGatewayTimeout)
	if !strings.Contains(got.body, "CAUSE_DEADLINE_EXCEEDED") {
		t.Errorf("got %s", got.body)
	}
}

func testIdleTimeout(t *testing.T) {
	addr := startBoundServe(t, newBoundApp(), "--idle-timeout="+short)
	for _, method := range []culvert.Method{culvert.MethodExchange, culvert.MethodSession, culvert.MethodUpload} {
		t.Run(method.String(), func(t *testing.T) {
			stalled, stop := io.Pipe()
			defer stop.Close()
			rt := newBoundTransport(t, addr, culvert.WithMethod(method))
			got := ask(t, rt, http.MethodPost, "http://app/", nil, stalled)
			got.wantCause(t, culvertv1.Cause_CAUSE_DEADLINE_EXCEEDED)
		})
	}
}

// A client that reads nothing loses its exchange, and another on the same
// connection, or in the same session, does not notice.
func testStallTimeout(t *testing.T) {
	for _, method := range []culvert.Method{culvert.MethodExchange, culvert.MethodSession, culvert.MethodDownload} {
		t.Run(method.String(), func(t *testing.T) {
			app := newBoundApp()
			addr := startBoundServe(t, app, "--stall-timeout="+short)
			rt := newBoundTransport(t, addr, culvert.WithMethod(method))
			r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://app/endless", nil)
			must(t, err)
			resp, err := rt.RoundTrip(r)
			must(t, err)
			defer resp.Body.Close()
			await(t, "the application's end", app.ended)
			get(t, rt, addr, "/").wantOK(t)
			if _, err := io.Copy(io.Discard, resp.Body); err == nil {
				t.Error("what was cut looks complete")
			}
		})
	}
}

func testMaxDuration(t *testing.T) {
	app := newBoundApp()
	addr := startBoundServe(t, app, "--max-duration="+short)
	for _, method := range []culvert.Method{culvert.MethodExchange, culvert.MethodSession, culvert.MethodCall} {
		got := get(t, newBoundTransport(t, addr, culvert.WithMethod(method)), addr, "/hold")
		got.wantCause(t, culvertv1.Cause_CAUSE_DEADLINE_EXCEEDED)
	}
}

// A session that is old enough says that it drains.
func testSessionAge(t *testing.T) {
	addr := startBoundServe(t, newBoundApp(), "--session-age="+short)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	stream := newConnectClient(addr, connect.WithGRPC()).Session(ctx)
	defer context.AfterFunc(ctx, func() { _ = stream.CloseResponse() })()
	hello := &culvertv1.Hello{Version: 1, Window: 1 << 20, MaxHeadBytes: 1 << 20, MaxFields: 1000}
	must(t, stream.Send(&culvertv1.SessionRequest{Frames: []*culvertv1.ClientFrame{{Hello: hello}}}))
	for {
		message, err := stream.Receive()
		must(t, err)
		for _, frame := range message.GetFrames() {
			if frame.GetDrain() != nil {
				must(t, stream.CloseRequest())
				_ = stream.CloseResponse()
				return
			}
		}
	}
}
