package culvert_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"github.com/culvert-http/culvert"
)

// sentConn keeps what a client sends.
type sentConn struct {
	net.Conn
	mu   sync.Mutex
	sent bytes.Buffer
}

func (c *sentConn) Write(p []byte) (int, error) {
	c.mu.Lock()
	c.sent.Write(p)
	c.mu.Unlock()
	return c.Conn.Write(p)
}

// frames calls do for the frames that were sent so far.
func (c *sentConn) frames(do func(http2.FrameHeader)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	sent := c.sent.Bytes()
	framer := http2.NewFramer(nil, bytes.NewReader(sent[min(len(sent), len(http2.ClientPreface)):]))
	framer.SetMaxReadFrameSize(1<<24 - 1)
	for {
		frame, err := framer.ReadFrame()
		if _, ok := errors.AsType[http2.StreamError](err); err != nil && !ok {
			return
		}
		if frame != nil {
			do(frame.Header())
		}
	}
}

// recordConns returns an option that keeps what the connections of a transport
// send, and those connections.
func recordConns() (culvert.TransportOption, func() []*sentConn) {
	var mu sync.Mutex
	var conns []*sentConn
	dial := func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		mu.Lock()
		defer mu.Unlock()
		kept := &sentConn{Conn: conn}
		conns = append(conns, kept)
		return kept, nil
	}
	return culvert.WithDialContext(dial), func() []*sentConn {
		mu.Lock()
		defer mu.Unlock()
		return conns
	}
}

// What is read of a response returns as credit in few frames, and in time, however
// small the windows are.
func TestResponseIsReadWithinItsWindow(t *testing.T) {
	body := mebibytes(4)
	app := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, body) })
	for _, method := range []culvert.Method{culvert.MethodSession, culvert.MethodExchange} {
		for _, window := range []int{64 << 10, 4 << 20} {
			option, conns := recordConns()
			r := newRig(t, app, culvert.WithMethod(method), culvert.WithWindows(window, window), option)
			if got := readBody(t, r.get(t, "/")); got != body {
				t.Fatalf("%s: %d bytes", method, len(got))
			}
			updates, most := 0, 4*8*len(body)/window
			for _, conn := range conns() {
				conn.frames(func(h http2.FrameHeader) {
					if h.Type == http2.FrameWindowUpdate {
						updates++
					}
				})
			}
			if updates > most {
				t.Errorf("%s, windows of %d bytes: %d frames of credit for %d bytes, want %d at most", method, window, updates, len(body), most)
			}
		}
	}
}

// What an Exchange's handler writes in bulk arrives while it waits, without a
// flush.
func TestBulkArrivesWhileTheHandlerWaits(t *testing.T) {
	body := mebibytes(1)[:300<<10]
	goOn := make(chan struct{})
	r := newRig(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		for rest := body; len(rest) > 0; rest = rest[30<<10:] {
			if _, err := io.WriteString(w, rest[:30<<10]); err != nil {
				t.Error(err)
			}
		}
		select {
		case <-goOn:
		case <-time.After(20 * time.Second):
			t.Error("nobody has read what was written")
		}
	}), culvert.WithMethod(culvert.MethodExchange))
	resp := r.get(t, "/")
	got := make([]byte, len(body))
	if _, err := io.ReadFull(resp.Body, got); err != nil || string(got) != body {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	close(goOn)
	if rest := readBody(t, resp); rest != "" {
		t.Errorf("%d bytes more", len(rest))
	}
}
