package connwatch

import (
	"bytes"
	"context"
	"errors"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"
)

// writes are those of a connection.
type writes struct {
	pipeEnd
	all    [][]byte
	err    error
	closed bool
}

func (*writes) RemoteAddr() net.Addr { return &net.UnixAddr{} }

func (w *writes) Write(p []byte) (int, error) {
	if w.err != nil || w.closed {
		return 0, errors.Join(w.err, net.ErrClosed)
	}
	w.all = append(w.all, bytes.Clone(p))
	return len(p), nil
}

func (w *writes) Close() error {
	w.closed = true
	return nil
}

// holding returns a connection of HTTP/2, and the context of its requests.
func holding() (*conn, *writes, context.Context) {
	to := &writes{}
	c := newConn(to, nil)
	c.frames = newFrames(nil)
	return c, to, ConnContext(context.Background(), c)
}

var (
	headFrame = framed(func(f *http2.Framer) {
		_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: []byte("head"), EndHeaders: true})
	})
	bodyFrame = framed(usefulFrames["data"])
	lastFrame = framed(func(f *http2.Framer) {
		_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: []byte("trailers"), EndHeaders: true, EndStream: true})
	})
)

// What is written goes out as these writes.
func TestHold(t *testing.T) {
	large := framed(func(f *http2.Framer) { _ = f.WriteData(1, false, make([]byte, maxHeld)) })
	ping := framed(idleFrames["ping"])
	reset := framed(idleFrames["reset"])
	half := headFrame[:len(headFrame)/2]
	join := func(all ...[]byte) []byte { return bytes.Join(all, nil) }
	for name, row := range map[string]struct{ written, want [][]byte }{
		"head, body, end":            {[][]byte{headFrame, bodyFrame, lastFrame}, [][]byte{join(headFrame, bodyFrame, lastFrame)}},
		"end in the data":            {[][]byte{headFrame, join(bodyFrame, lastFrame)}, [][]byte{join(headFrame, bodyFrame, lastFrame)}},
		"end alone":                  {[][]byte{lastFrame}, [][]byte{lastFrame}},
		"after the end":              {[][]byte{headFrame, lastFrame, headFrame}, [][]byte{join(headFrame, lastFrame), headFrame}},
		"reset":                      {[][]byte{headFrame, reset}, [][]byte{join(headFrame, reset)}},
		"what is not of a message":   {[][]byte{headFrame, ping}, [][]byte{join(headFrame, ping)}},
		"more than is held":          {[][]byte{headFrame, large, lastFrame}, [][]byte{headFrame, large, lastFrame}},
		"a frame in pieces":          {[][]byte{half, headFrame[len(half):], lastFrame}, [][]byte{half, headFrame[len(half):], lastFrame}},
		"a frame in pieces, in time": {[][]byte{headFrame, half, headFrame[len(half):]}, [][]byte{join(headFrame, half), headFrame[len(half):]}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { testHold(t, row.written, row.want) })
		})
	}
}

func testHold(t *testing.T, written, want [][]byte) {
	c, to, ctx := holding()
	defer c.Close()
	if Hold(ctx) == nil {
		t.Fatal("nothing is held")
	}
	for _, p := range written {
		if n, err := c.Write(p); n != len(p) || err != nil {
			t.Fatalf("wrote %d bytes of %d, %v", n, len(p), err)
		}
	}
	if len(to.all) != len(want) {
		t.Fatalf("%d writes, want %d", len(to.all), len(want))
	}
	for i, want := range want {
		if !bytes.Equal(to.all[i], want) {
			t.Errorf("write %d has %d bytes, want %d", i, len(to.all[i]), len(want))
		}
	}
}

// Nothing is held for long, or when somebody wants it, or by a connection that is
// closed.
func TestHeldForAMoment(t *testing.T) {
	for name, release := range map[string]func(*conn, *Holder){
		"time":    func(*conn, *Holder) { <-time.After(holdFor) },
		"release": func(_ *conn, h *Holder) { h.Release() },
		"close":   func(c *conn, _ *Holder) { _ = c.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, to, ctx := holding()
				defer c.Close()
				for range 3 { // the timer is set again
					to.all = nil
					held := Hold(ctx)
					_, _ = c.Write(headFrame)
					<-time.After(holdFor / 2)
					if len(to.all) != 0 {
						t.Fatal("nothing is held")
					}
					_ = Hold(ctx) // has no more time
					release(c, held)
					synctest.Wait()
					if len(to.all) != 1 || !bytes.Equal(to.all[0], headFrame) {
						t.Fatalf("%d writes", len(to.all))
					}
					if to.closed {
						return
					}
				}
				_, _ = c.Write(bodyFrame)
				if len(to.all) != 2 {
					t.Error("it is held though nobody has asked for that")
				}
			})
		})
	}
}

// Who writes gets the error of what was held, if not of that write then of the next.
func TestHeldAndLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, to, ctx := holding()
		defer c.Close()
		Hold(ctx)
		to.err = errors.New("lost")
		if _, err := c.Write(headFrame); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if n, err := c.Write(lastFrame); n != 0 || !errors.Is(err, to.err) {
				t.Errorf("wrote %d bytes, %v", n, err)
			}
		}
	})
}

// Others hold nothing: HTTP/1.1, and connections that are not of a Listener.
func TestNothingToHold(t *testing.T) {
	c := newConn(&writes{}, nil)
	defer c.Close()
	for _, ctx := range []context.Context{context.Background(), ConnContext(context.Background(), c)} {
		held := Hold(ctx)
		held.Release()
		if held != nil {
			t.Error("something is held")
		}
	}
}
