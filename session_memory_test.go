package culvert_test

import (
	"context"
	"net/http"
	"os"
	"testing"
	"time"

	"connectrpc.com/connect"

	"github.com/culvert-http/culvert"
	culvertv1 "github.com/culvert-http/culvert/api/culvert/v1"
	"github.com/culvert-http/culvert/api/culvert/v1/culvertv1connect"
)

// What an idle session costs a server that has answered an exchange in it, in
// bytes of heap and stack and in goroutines.
const (
	mostIdleSessionBytes      = 56 << 10
	mostIdleSessionGoroutines = 5
	idleSessions              = 1_000
)

// The clients are in a process of their own, as with exchanges.
func TestIdleSessionsAreCheap(t *testing.T) {
	if url := os.Getenv(idleClientVar); url != "" {
		runIdleSessions(t, url)
		return
	}
	tunnel := newTunnel(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte("hello"))
	}))
	before := usageNow()
	client := startIdleClient(t, tunnel.url)
	client.awaitReady(t)
	after := usageNow()
	bytes := (after.bytes - before.bytes) / idleSessions
	goroutines := float64(after.goroutines-before.goroutines) / idleSessions
	t.Logf("an idle session costs %d bytes and %.2f goroutines", bytes, goroutines)
	if bytes > mostIdleSessionBytes && !raceEnabled || goroutines > mostIdleSessionGoroutines {
		t.Errorf("more than %d bytes or %d goroutines", mostIdleSessionBytes, mostIdleSessionGoroutines)
	}
	client.stop(t)
}

func runIdleSessions(t *testing.T, url string) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for range 4 {
		transport := newRPCClient(true)
		defer transport.CloseIdleConnections() //nolint:gocritic // held until all are measured
		client := culvertv1connect.NewHTTPServiceClient(transport, url, connect.WithGRPC())
		for range idleSessions / 4 {
			stream := client.Session(ctx)
			frames := []*culvertv1.ClientFrame{{Hello: &culvertv1.Hello{Version: 1, Window: 256 << 10}}}
			frames = append(frames, &culvertv1.ClientFrame{Exchange: 1, Part: &culvertv1.RequestFrame{
				Head: &culvertv1.RequestHead{Path: "/"}, End: true,
			}})
			if err := stream.Send(&culvertv1.SessionRequest{Frames: frames}); err != nil {
				t.Fatal(err)
			}
			for answered := false; !answered; {
				message, err := stream.Receive()
				if err != nil {
					t.Fatal(err)
				}
				for _, frame := range message.GetFrames() {
					answered = answered || frame.GetPart().GetEnd()
				}
			}
			defer func() { //nolint:gocritic // held until all are measured
				_ = stream.CloseRequest()
				_ = stream.CloseResponse()
			}()
		}
	}
	sayReady()
}

// What an exchange costs that nobody reads, both ends together, in bytes of heap
// and stack: its window, and what runs.
const (
	unreadExchanges = 200
	unreadWindow    = 256 << 10
	mostUnreadBytes = unreadWindow + 96<<10
)

func TestUnreadExchangesCostTheirWindow(t *testing.T) {
	piece := make([]byte, 64<<10)
	r := newRig(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		for {
			if _, err := w.Write(piece); err != nil {
				return
			}
		}
	}), culvert.WithMethod(culvert.MethodSession))
	before := usageNow()
	for range unreadExchanges {
		r.get(t, "/")
	}
	bytes := 0
	for deadline := time.Now().Add(20 * time.Second); bytes < unreadWindow; { // until their windows are full
		bytes = (usageNow().bytes - before.bytes) / unreadExchanges
		if time.Now().After(deadline) {
			t.Fatalf("%d bytes are kept", bytes)
		}
	}
	t.Logf("an exchange that is not read costs %d bytes", bytes)
	if bytes > mostUnreadBytes && !raceEnabled {
		t.Errorf("more than %d bytes", mostUnreadBytes)
	}
}
