package onestream

import (
	"io"

	"golang.org/x/net/http2"
)

// credit is what the server takes. That of a stream may be below zero.
type credit struct {
	stream, conn int64
	initial      int64 // of streams, as SETTINGS have it
	frame        int   // bytes, at most
}

// fits returns how much of n bytes may be sent as a frame.
func (w *credit) fits(n int) int {
	return int(max(min(int64(n), int64(w.frame), w.stream, w.conn), 0))
}

// spend takes n bytes away.
func (w *credit) spend(n int) {
	w.stream -= int64(n)
	w.conn -= int64(n)
}

// reserveNow returns how much of n bytes may be sent now, which counts as sent.
func (c *conn) reserveNow(n int) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	n = c.credit.fits(n)
	c.credit.spend(n)
	return n
}

// reserve is reserveNow for a positive n, and waits until some may be sent.
func (c *conn) reserve(n int) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.err == nil && c.credit.fits(n) == 0 {
		c.sendable.Wait()
	}
	if c.err != nil {
		return 0, c.err
	}
	n = c.credit.fits(n)
	c.credit.spend(n)
	return n, nil
}

// write sends the body from a piece of it on, to its end. err is that of the Next
// that returned the piece.
func (c *conn) write(piece []byte, err error) {
	for ; err == nil; piece, err = c.body.Next() {
		if c.send(piece) != nil {
			return
		}
	}
	if err != io.EOF {
		c.cancel(err)
		return
	}
	var end [frameHeader]byte
	putFrameHeader(end[:], 0, http2.FrameData, http2.FlagDataEndStream)
	_ = c.writeOut(end[:])
}

// send sends a piece of the body. The header of each frame takes the place of what
// was sent before it.
func (c *conn) send(piece []byte) error {
	for len(piece) > Headroom {
		n, err := c.reserve(len(piece) - Headroom)
		if err != nil {
			return err
		}
		putFrameHeader(piece, n, http2.FrameData, 0)
		if err := c.writeOut(piece[:Headroom+n]); err != nil {
			return err
		}
		piece = piece[n:]
	}
	return nil
}

// writeOut writes frames, and fails everything if that does.
func (c *conn) writeOut(frames []byte) error {
	if err := c.writeFrames(frames); err != nil {
		return c.fail(err, http2.ErrCodeInternal)
	}
	return nil
}

// writeFrames writes whole frames to the connection.
func (c *conn) writeFrames(frames []byte) error {
	c.writes <- struct{}{}
	_, err := c.conn.Write(frames)
	<-c.writes
	return err
}

// maxControl bounds what waits to be sent because the server has asked for it, in
// bytes. It is 1,000 answers to pings.
const maxControl = 17_000

// answer has frames sent, by another goroutine: the one who reads must not wait for
// a server that does not.
func (c *conn) answer(frames []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.control)+len(frames) > maxControl {
		return violated(http2.ErrCodeEnhanceYourCalm, "it asks for more answers than it reads")
	}
	c.control = append(c.control, frames...)
	if !c.flushing && c.err == nil {
		c.flushing = true
		go c.flush()
	}
	return nil
}

// flush sends the frames that wait.
func (c *conn) flush() {
	c.writes <- struct{}{}
	c.mu.Lock()
	frames := c.control
	c.control, c.flushing = nil, false
	over := c.err != nil
	c.mu.Unlock()
	var err error
	if !over {
		_, err = c.conn.Write(frames)
	}
	<-c.writes
	if err != nil {
		_ = c.fail(err, http2.ErrCodeInternal)
	}
}
