package connwatch

import (
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"

	"github.com/culvert-http/culvert/internal/resets"
)

const (
	resetsPerSecond = 10
	resetsAtOnce    = 20
)

// takenBack are the frames of n requests, from a stream on, that are taken back.
func takenBack(from uint32, n int) []byte {
	return framed(func(f *http2.Framer) {
		for i := range uint32(n) {
			_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: from + 2*i, BlockFragment: []byte("x"), EndHeaders: true})
		}
		for i := range uint32(n) {
			_ = f.WriteRSTStream(from+2*i, http2.ErrCodeCancel)
		}
	})
}

// What counts is what frames say.
func TestFramesOfResets(t *testing.T) {
	answers := func(n int, write func(f *http2.Framer, id uint32)) func(f *frames) {
		return func(f *frames) {
			f.sent(framed(func(framer *http2.Framer) {
				for i := range uint32(n) {
					write(framer, 2*i+1)
				}
			}))
		}
	}
	resetsWith := func(codes ...http2.ErrCode) func(*http2.Framer, uint32) {
		return func(f *http2.Framer, id uint32) { _ = f.WriteRSTStream(id, codes[int(id)%len(codes)]) }
	}
	for name, row := range map[string]struct {
		do   func(f *frames)
		n    int // that are taken back in the end
		want time.Duration
		err  error
	}{
		"few":      {n: resetsAtOnce},
		"more":     {n: resetsAtOnce + 20, want: 2 * time.Second},
		"too many": {n: resetsAtOnce + 200, err: errTooManyResets},
		"answered in HEADERS": {n: resetsAtOnce + 20, do: answers(20, func(f *http2.Framer, id uint32) {
			_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: []byte("x"), EndHeaders: true, EndStream: true})
		})},
		"answered in DATA": {n: resetsAtOnce + 20, do: answers(20, func(f *http2.Framer, id uint32) { _ = f.WriteData(id, true, nil) })},
		"answered by half": {n: resetsAtOnce + 20, want: 2 * time.Second, do: answers(20, func(f *http2.Framer, id uint32) {
			_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: []byte("x"), EndHeaders: true})
			_ = f.WriteData(id, false, []byte("x"))
		})},
		"by the server, for mistakes": {want: 2 * time.Second, do: answers(resetsAtOnce+20, resetsWith(
			http2.ErrCodeProtocol, http2.ErrCodeFlowControl, http2.ErrCodeStreamClosed, http2.ErrCodeFrameSize, http2.ErrCodeRefusedStream))},
		"by the server, for what is late": {do: answers(10, func(f *http2.Framer, id uint32) {
			_ = f.WriteData(id, true, nil)
			for range 100 { // each frame of a request that is not wanted any more
				_ = f.WriteRSTStream(id, http2.ErrCodeStreamClosed)
			}
		})},
		"by the server, for the same mistake": {do: answers(10, func(f *http2.Framer, id uint32) {
			for range 100 {
				_ = f.WriteRSTStream(id, http2.ErrCodeStreamClosed)
			}
		})},
		"by the server itself": {do: answers(resetsAtOnce+20, resetsWith(http2.ErrCodeNo, http2.ErrCodeInternal, http2.ErrCodeCancel))},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFrames(resets.New(resetsPerSecond).Of(&net.TCPAddr{}))
				if row.do != nil {
					row.do(f)
				}
				pause, err := f.received(takenBack(1, row.n))
				if pause != row.want || err != row.err {
					t.Errorf("got %s, %v, want %s, %v", pause, err, row.want, row.err)
				}
			})
		})
	}
}

// A connection that is over the bound is not read for as long as that takes, or
// until it is closed.
func TestPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stream := append([]byte(http2.ClientPreface), takenBack(1, resetsAtOnce+30)...)
		for closed, want := range map[bool]time.Duration{false: 3 * time.Second, true: time.Second} {
			ours, theirs := net.Pipe()
			c := newConn(pipeEnd{ours}, resets.New(resetsPerSecond))
			go func() {
				_, _ = theirs.Write(stream)
				_ = theirs.Close()
			}()
			if closed {
				time.AfterFunc(want, func() { _ = c.Close() })
			}
			began := time.Now()
			_, _ = io.Copy(io.Discard, c)
			if took := time.Since(began); took != want {
				t.Errorf("closed %t: it took %s, want %s", closed, took, want)
			}
			_ = c.Close()
		}
	})
}

// A connection is not read while a session that it carries is not.
func TestPauseOfASession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		c := newConn(pipeEnd{ours}, resets.New(resetsPerSecond))
		defer c.Close()
		defer theirs.Close()
		go func() { _, _ = theirs.Write([]byte(http2.ClientPreface)) }()
		if _, err := io.ReadFull(c, make([]byte, len(http2.ClientPreface))); err != nil {
			t.Fatal(err)
		}
		session := Resets(ConnContext(t.Context(), c))
		session.Look()
		for id := range uint64(resetsAtOnce + 20) {
			session.Begin(id + 1)
			session.TakeBack(id + 1)
		}
		session.Pause()
		go func() { _, _ = theirs.Write(framed(idleFrames["ping"])) }()
		began := time.Now()
		if _, err := c.Read(make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took != 2*time.Second {
			t.Errorf("it took %s", took)
		}
	})
}
