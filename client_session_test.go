package culvert_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"github.com/culvert-http/culvert"
)

// The connections of sessions that carry nothing are closed, not kept for what may
// come.
func TestCloseIdleConnectionsClosesThoseOfSessions(t *testing.T) {
	var open atomic.Int64
	dial := func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		open.Add(1)
		return &closingConn{Conn: conn, closed: func() { open.Add(-1) }}, nil
	}
	entered, leave := make(chan struct{}), make(chan struct{})
	r := newRig(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			close(entered)
			<-leave
		}
		_, _ = io.WriteString(w, "hello")
	}), culvert.WithMethod(culvert.MethodSession), culvert.WithDialContext(dial))
	slow := make(chan string, 1)
	go func() { slow <- readBody(t, r.get(t, "/slow")) }()
	<-entered
	r.transport.CloseIdleConnections()
	close(leave)
	if got := <-slow; got != "hello" {
		t.Errorf("what ran got %q", got)
	}
	r.transport.CloseIdleConnections()
	for deadline := time.Now().Add(patience); open.Load() > 0; runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatalf("%d connections are open", open.Load())
		}
	}
	if got := readBody(t, r.get(t, "/")); got != "hello" {
		t.Errorf("what came later got %q", got)
	}
}

// closingConn says when it is closed for the first time.
type closingConn struct {
	net.Conn
	once   atomic.Bool
	closed func()
}

// Close implements net.Conn.
func (c *closingConn) Close() error {
	if !c.once.Swap(true) {
		c.closed()
	}
	return c.Conn.Close()
}

// A session that its server has not processed has started nothing: its exchanges
// are sent again.
func TestSessionThatWasNotProcessed(t *testing.T) {
	for name, refuse := range map[string]func(*http2.Framer) error{
		"GOAWAY":         func(f *http2.Framer) error { return f.WriteGoAway(0, http2.ErrCodeNo, nil) },
		"REFUSED_STREAM": func(f *http2.Framer) error { return f.WriteRSTStream(1, http2.ErrCodeRefusedStream) },
	} {
		t.Run(name, func(t *testing.T) {
			var dials atomic.Int64
			dial := func(ctx context.Context, network, address string) (net.Conn, error) {
				if dials.Add(1) != 2 { // the first only asks
					return new(net.Dialer).DialContext(ctx, network, address)
				}
				ours, theirs := net.Pipe()
				go refuseStream(theirs, refuse)
				return ours, nil
			}
			r := newRig(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(w, r.Body)
			}), culvert.WithMethod(culvert.MethodSession), culvert.WithDialContext(dial))
			got := readBody(t, r.do(t, newRigRequest(t, http.MethodPost, "/", opaque{strings.NewReader("hello")})))
			if got != "hello" || dials.Load() != 3 {
				t.Errorf("%q, %d connections", got, dials.Load())
			}
		})
	}
}

// refuseStream is a server of HTTP/2 that refuses the first request.
func refuseStream(conn net.Conn, refuse func(*http2.Framer) error) {
	defer conn.Close()
	_, _ = io.ReadFull(conn, make([]byte, len(http2.ClientPreface)))
	framer := http2.NewFramer(conn, conn)
	for {
		frame, err := framer.ReadFrame()
		if err != nil {
			return
		}
		if frame.Header().Type == http2.FrameData {
			break
		}
	}
	if framer.WriteSettings() == nil && refuse(framer) == nil {
		_, _ = io.Copy(io.Discard, conn)
	}
}

// Each session has a connection of its own, and what goes by itself another.
func TestSessionsHaveTheirOwnConnections(t *testing.T) {
	pattern, handler := culvert.NewHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		peer, _ := culvert.PeerFromContext(r.Context())
		fmt.Fprint(w, peer.Method, " ", r.RemoteAddr)
	}))
	mux := http.NewServeMux()
	mux.Handle(pattern, handler)
	r := &rig{server: serveRig(t, mux, true)}
	r.transport = newRigTransport(t, r.server.URL)
	byItself := readBody(t, r.get(t, "/"))
	for deadline := time.Now().Add(patience); ; {
		method, address, _ := strings.Cut(readBody(t, r.get(t, "/")), " ")
		if method == "Session" {
			if "Exchange "+address == byItself {
				t.Errorf("a session goes over the connection of %s", byItself)
			}
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("there is no session")
		}
	}
}
