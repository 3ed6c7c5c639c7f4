package bridge

import (
	"io"
	"net/http"
	"os"
	"sync"
	"sync/atomic"

	culvertv1 "github.com/culvert-http/culvert/api/culvert/v1"
)

// requestBody is the body of the request that the inner handler sees. It reads
// the stream where the handler reads it, on its goroutine: what the handler does
// not read stays in the flow control of the RPC, and slows the client down.
type requestBody struct {
	exchange *exchange
	frames   requestFrames

	mu       sync.Mutex // held while reading
	rest     []byte     // of the frame that was received last
	left     int64      // of Content-Length, or unknownLength
	ended    bool       // the end was received
	err      error      // sticky, io.EOF at the end
	read     atomic.Int64
	closed   atomic.Bool
	deadline deadline
}

// take accepts the parts of the body that a frame holds.
func (b *requestBody) take(frame *culvertv1.RequestFrame) *Error {
	data := frame.GetData()
	if b.left != unknownLength {
		if b.left -= int64(len(data)); b.left < 0 {
			return malformed("body is longer than its content-length")
		}
	}
	if frame.GetEnd() {
		if b.left > 0 {
			return malformed("body ends %d bytes short of its content-length: %w", b.left, io.ErrUnexpectedEOF)
		}
		if err := b.exchange.takeTrailers(frame.GetTrailers()); err != nil {
			return err
		}
		b.ended = true
	}
	b.rest = data
	return nil
}

// Read implements io.Reader.
func (b *requestBody) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed.Load() {
		return 0, http.ErrBodyReadAfterClose
	}
	if len(p) == 0 {
		return 0, b.err
	}
	b.exchange.continueRequest()
	for len(b.rest) == 0 {
		if b.ended && b.err == nil {
			b.err = io.EOF
			b.exchange.revealTrailers()
		}
		if b.err != nil {
			return 0, b.err
		}
		b.receive()
	}
	n := copy(p, b.rest)
	b.rest = b.rest[n:]
	b.read.Add(int64(n))
	return n, nil
}

// receive reads the next frame.
func (b *requestBody) receive() {
	if b.deadline.passed() {
		b.err = os.ErrDeadlineExceeded
		return
	}
	b.exchange.await()
	b.exchange.idle.wait()
	frame, tunnelErr := b.frames.next()
	b.exchange.idle.moved()
	if tunnelErr == nil {
		tunnelErr = b.take(frame)
	}
	switch {
	case tunnelErr == nil:
	case b.deadline.passed():
		b.err = os.ErrDeadlineExceeded
	case b.closed.Load() && !tunnelErr.Public:
		b.err = http.ErrBodyReadAfterClose // the exchange is over for its reader, not for its client
	default:
		b.err = handlerError(b.exchange.failRequest(tunnelErr))
	}
}

// handlerError is what a handler sees of an error while it reads the body. What
// the client has done wrong cuts the body short, and is that to the handler.
func handlerError(err *Error) error {
	switch err.Cause {
	case culvertv1.Cause_CAUSE_MALFORMED_REQUEST, culvertv1.Cause_CAUSE_REQUEST_BODY_TOO_LARGE,
		culvertv1.Cause_CAUSE_REQUEST_HEAD_TOO_LARGE:
		return io.ErrUnexpectedEOF
	default:
		return err
	}
}

// Close implements io.Closer. What was not read yet is dropped.
func (b *requestBody) Close() error {
	b.closed.Store(true)
	return nil
}

// finish ends all reading: the handler has returned. It waits for a Read that
// another goroutine has forgotten.
func (b *requestBody) finish() {
	b.closed.Store(true)
	b.deadline.stop()
	if !b.mu.TryLock() {
		b.exchange.stream.InterruptReceive()
		b.mu.Lock()
	}
	b.mu.Unlock()
}
