package onestream_test

import (
	"context"
	"errors"
	"io"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"

	"github.com/culvert-http/culvert/internal/onestream"
)

// stuckConn is a connection that takes nothing but the first write, until it is
// closed.
type stuckConn struct {
	net.Conn
	first, last sync.Once
	closed      chan struct{}
}

// Write implements net.Conn.
func (c *stuckConn) Write(p []byte) (n int, err error) {
	n, err = 0, net.ErrClosed
	c.first.Do(func() { n, err = c.Conn.Write(p) })
	if n == 0 {
		<-c.closed
	}
	return n, err
}

// Close implements net.Conn.
func (c *stuckConn) Close() error {
	c.last.Do(func() { close(c.closed) })
	return c.Conn.Close()
}

// The errors of what the server ends are those that net/http's client has, in
// text.
func TestServerEndsTheStream(t *testing.T) {
	p, conn := newPeer(t)
	script(t, func() {
		p.greet()
		settle(p)
		_ = p.WriteData(1, false, []byte("abc"))
		_ = p.WriteRSTStream(1, http2.ErrCodeEnhanceYourCalm)
	})
	_, read, err := exchange(t, conn, newPieces("x"), config())
	const want = "stream error: stream ID 1; ENHANCE_YOUR_CALM; received from peer"
	if read != "abc" || err == nil || err.Error() != want {
		t.Errorf("%q, %v, want %s", read, err, want)
	}
}

// A connection that is lost is no end of a body, and says why it has gone if it
// has said so.
func TestServerGoesAway(t *testing.T) {
	for _, away := range []bool{false, true} {
		p, conn := newPeer(t)
		script(t, func() {
			p.greet()
			p.await(isType(http2.FrameData))
			settle(p)
			_ = p.WriteData(1, false, []byte("abc"))
			if away {
				_ = p.WriteGoAway(1, http2.ErrCodeEnhanceYourCalm, []byte("too much"))
			}
			_ = p.Conn.(*net.TCPConn).CloseWrite()
			_, _ = io.Copy(io.Discard, p.Conn)
		})
		body := newPieces("x")
		_, read, err := exchange(t, conn, body, config())
		if read != "abc" || !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%q, %v", read, err)
		}
		if away && !strings.Contains(err.Error(), "too much") {
			t.Errorf("error %v does not say why", err)
		}
		<-body.closed
	}
}

// Whoever waits goes on when the request is cancelled, the server hears of it, and
// the connection is closed.
func TestCancel(t *testing.T) {
	for name, row := range map[string]struct {
		head, byClose, stuck bool
	}{
		"before the head":                {},
		"inside the body":                {head: true},
		"by Close":                       {head: true, byClose: true},
		"before the head, while writing": {stuck: true},
		"inside the body, while writing": {head: true, stuck: true},
		"by Close, while writing":        {head: true, byClose: true, stuck: true},
	} {
		t.Run(name, func(t *testing.T) {
			p, conn := newPeer(t)
			if row.stuck {
				conn = &stuckConn{Conn: conn, closed: make(chan struct{})}
			}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			script(t, func() {
				p.greet()
				p.await(isType(http2.FrameData))
				if row.head {
					settle(p)
				} else {
					cancel()
				}
				if row.stuck {
					_, _ = io.Copy(io.Discard, p.Conn)
				} else if code, reset := p.awaitCode(); code != http2.ErrCodeNo || reset != http2.ErrCodeCancel {
					t.Errorf("GOAWAY %v, RST_STREAM %v", code, reset)
				}
			})
			body := newPieces("x", "y", "z")
			response, err := onestream.RoundTrip(conn, newRequest(t).WithContext(ctx), body, config())
			if !row.head {
				if !errors.Is(err, context.Canceled) {
					t.Errorf("error %v", err)
				}
				<-body.closed
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if row.byClose {
				go func() { _ = response.Body.Close() }()
			} else {
				cancel()
			}
			_, err = io.ReadAll(response.Body)
			if err == nil || !row.byClose && !errors.Is(err, context.Canceled) {
				t.Errorf("error %v", err)
			}
			<-body.closed
			err = nil
			for deadline := time.Now().Add(patience); !errors.Is(err, net.ErrClosed); runtime.Gosched() {
				_, err = conn.Read(make([]byte, 1)) // it is woken before the connection is closed
				if time.Now().After(deadline) {
					t.Fatalf("the connection is not closed: %v", err)
				}
			}
		})
	}
}

// A body that fails ends the request.
func TestBodyThatFails(t *testing.T) {
	for _, first := range [][]string{nil, {"x"}} {
		p, conn := newPeer(t)
		body := newPieces(first...)
		script(t, func() {
			if len(first) == 0 {
				return
			}
			p.greet()
			p.await(isType(http2.FrameData))
			_ = body.Close()
			if _, reset := p.awaitCode(); reset != http2.ErrCodeCancel {
				t.Errorf("RST_STREAM %v", reset)
			}
		})
		if len(first) == 0 {
			_ = body.Close()
		}
		if _, _, err := exchange(t, conn, body, config()); !errors.Is(err, errInterrupted) {
			t.Errorf("error %v", err)
		}
	}
}

// A write that fails is an error for the one who reads.
func TestConnectionThatCannotBeWritten(t *testing.T) {
	p, conn := newPeer(t)
	stuck := &stuckConn{Conn: conn, closed: make(chan struct{})}
	close(stuck.closed) // a second write fails at once
	stuck.last.Do(func() {})
	script(t, func() {
		p.greet()
		p.await(isType(http2.FrameData))
	})
	if _, _, err := exchange(t, stuck, newPieces("x", "y"), config()); !errors.Is(err, net.ErrClosed) {
		t.Errorf("error %v", err)
	}
}

// A server that is silent is asked whether it is there. One that answers may take
// its time.
func TestPings(t *testing.T) {
	for name, answers := range map[string]int{"none": 0, "some": 3} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ours, theirs := net.Pipe()
				defer theirs.Close()
				config := config()
				config.PingInterval, config.PingTimeout = 10*time.Second, time.Second
				p := newPeerOn(t, theirs)
				began := time.Now()
				go func() {
					_, _ = io.ReadFull(theirs, make([]byte, len(http2.ClientPreface)))
					p.await(isType(http2.FrameData)) // a pipe has no buffer
					_ = p.WriteSettings()
					left := answers
					for {
						frame, err := p.ReadFrame()
						if err != nil {
							return
						}
						if frame, ok := frame.(*http2.PingFrame); ok && left > 0 {
							left--
							<-time.After(time.Second / 2)
							_ = p.WritePing(true, frame.Data)
						}
					}
				}()
				request := newRequest(t).WithContext(t.Context())
				_, err := onestream.RoundTrip(ours, request, newPieces("x"), config) //nolint:bodyclose // there is none
				if err == nil || !strings.Contains(err.Error(), "does not answer a ping") {
					t.Errorf("error %v", err)
				}
				want := time.Duration(answers)*(config.PingInterval+time.Second/2) + config.PingInterval + config.PingTimeout
				if took := time.Since(began); took != want {
					t.Errorf("it took %v, want %v", took, want)
				}
			})
		})
	}
}
