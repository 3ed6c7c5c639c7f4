package bridge

import (
	"io"
	"maps"
	"net/http"
	"sync"
	"sync/atomic"

	culvertv1 "github.com/culvert-http/culvert/api/culvert/v1"
)

// errBodyClosed is why an exchange ends whose response was not read to its end.
var errBodyClosed = &Error{Cause: culvertv1.Cause_CAUSE_CANCELED, Err: http.ErrBodyReadAfterClose}

// clientResponseBody is the body of a response. It receives frames as it is
// read, so that a reader who stops holds up the server, and nobody else. Close
// may be called while it is read.
type clientResponseBody struct {
	exchange *clientExchange
	response *http.Response
	closed   atomic.Bool

	mu   sync.Mutex // held while reading; guards what follows
	data []byte     // of the last frame
	left int64      // of the Content-Length, or unknownLength
	none bool       // there can be no body, whatever the Content-Length
	err  error      // after data
}

// begin takes what came with the head.
func (b *clientResponseBody) begin(frame *culvertv1.ResponseFrame) *Error {
	resp := b.response
	b.none = hasNoBody(resp)
	b.left = resp.ContentLength
	empty := frame.GetEnd() && len(frame.GetData()) == 0
	switch {
	case resp.Request.Method == http.MethodHead:
	case b.none || empty && b.left < 0:
		resp.ContentLength = 0
	case b.left < 0:
		resp.TransferEncoding = []string{"chunked"}
	}
	b.take(frame)
	resp.Body = b
	if !empty {
		return nil
	}
	if err, ok := AsError(b.finish()); ok {
		return err
	}
	resp.Body = http.NoBody
	return nil
}

// Read implements io.Reader.
func (b *clientResponseBody) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(p) == 0 {
		return 0, nil
	}
	if err := b.fill(); err != nil {
		return 0, err
	}
	n := copy(p, b.data)
	b.data = b.data[n:]
	return n, nil
}

// Ready reports whether the next call of Read returns without waiting for the
// server. It may only be called between reads, by whoever reads: one who passes
// the body on need not flush while it does.
func (b *clientResponseBody) Ready() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.data) > 0 || b.err != nil || b.exchange.frames.ended
}

// Whole reports whether all of the body is there: neither Read nor WriteTo waits for
// the server any more. It may only be called as Ready is.
func (b *clientResponseBody) Whole() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.err != nil || b.exchange.frames.ended
}

// WriteTo implements io.WriterTo.
func (b *clientResponseBody) WriteTo(w io.Writer) (int64, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	var written int64
	for {
		err := b.fill()
		if err == io.EOF {
			return written, nil
		}
		if err != nil {
			return written, err
		}
		n, err := w.Write(b.data)
		written += int64(n)
		b.data = b.data[n:]
		if err != nil {
			return written, err
		}
	}
}

// fill sees to it that there is data, or says why there is none.
func (b *clientResponseBody) fill() error {
	for {
		switch {
		case b.closed.Load():
			return http.ErrBodyReadAfterClose
		case len(b.data) > 0:
			return nil
		case b.err != nil:
			return b.err
		case b.exchange.frames.ended:
			b.err = b.finish()
		default:
			b.receive()
		}
	}
}

func (b *clientResponseBody) receive() {
	if err := b.exchange.frames.next(); err != nil {
		b.fail(b.exchange.explain(err))
		return
	}
	b.take(&b.exchange.frames.frame)
}

// take takes the body's part of a frame, as far as it is what was declared.
func (b *clientResponseBody) take(frame *culvertv1.ResponseFrame) {
	b.data = frame.GetData()
	switch {
	case b.none && len(b.data) > 0:
		b.data = nil
		b.fail(malformedResponse("body where there can be none"))
	case b.none || b.left < 0:
	case int64(len(b.data)) > b.left:
		b.data = b.data[:b.left]
		b.fail(malformedResponse("body is longer than its content length"))
	default:
		b.left -= int64(len(b.data))
		if frame.GetEnd() && b.left > 0 {
			b.fail(malformedResponse("body is %d bytes shorter than its content length", b.left))
		}
	}
}

// fail ends the body before its end.
func (b *clientResponseBody) fail(err *Error) {
	err = b.exchange.abort(err)
	b.exchange.release()
	if !err.Remote && (err.Cause == culvertv1.Cause_CAUSE_CANCELED || err.Cause == culvertv1.Cause_CAUSE_DEADLINE_EXCEEDED) {
		b.err = err // the caller's own doing
		return
	}
	b.err = cutShort(err)
}

// finish ends the body at its end, and returns io.EOF.
func (b *clientResponseBody) finish() error {
	if b.err != nil {
		return b.err
	}
	x := b.exchange
	fields := x.frames.frame.GetTrailers()
	if len(fields) == 0 {
		return b.end()
	}
	if over := x.client.Limits.exceededBy(fields, 0); over != "" {
		b.fail(responseTooLarge("trailers: %s", over))
		return b.err
	}
	trailers, err := decodeFields(fields, trailerSection)
	if err != nil {
		b.fail(malformedResponse("trailers: %w", err))
		return b.err
	}
	if err := b.end(); err != io.EOF {
		return err
	}
	if len(trailers) > 0 && b.response.Trailer == nil {
		b.response.Trailer = make(http.Header, len(trailers))
	}
	maps.Copy(b.response.Trailer, trailers)
	return io.EOF
}

// end ends the exchange with the body, and returns io.EOF.
func (b *clientResponseBody) end() error {
	x := b.exchange
	if err := x.drain(); err != nil {
		b.fail(err)
		return b.err
	}
	x.release()
	release(x.frames.stream)
	return io.EOF
}

// Close implements io.Closer. If the body was not read to its end, the exchange
// is cancelled at both ends.
func (b *clientResponseBody) Close() error {
	if b.closed.Swap(true) {
		return nil
	}
	if b.mu.TryLock() {
		defer b.mu.Unlock()
		if b.err != nil {
			return nil
		}
		if b.exchange.frames.ended {
			_ = b.finish() // the server is done: there is nothing to cancel
			return nil
		}
	}
	_ = b.exchange.abort(errBodyClosed)
	b.exchange.release()
	return nil
}
