package upstream

import (
	"errors"
	"io"
	"net/http"
	"sync/atomic"
	"time"
)

// errUploadStopped is what a client of the upstream gets when it reads on in a
// request body that nobody wants any more.
var errUploadStopped = errors.New("upload stopped")

// longAgo is a deadline that has passed.
var longAgo = time.Unix(1, 0)

// requestBody is the body of the client's request. A client of the upstream reads
// it on a goroutine of its own, which may outlive the response; stop ends that,
// for a handler that has returned must not read.
type requestBody struct {
	src        io.ReadCloser
	controller *http.ResponseController
	left       int64  // what is still to come, negative if not known
	before     func() // called before each read, if not nil; it may wait
	onEnd      func() // called once, when the body has ended well

	reading     chan struct{} // holds an element while src is read
	stopped     atomic.Bool
	interrupted atomic.Bool
	ended       atomic.Bool
	failure     atomic.Pointer[bodyError]
}

func newRequestBody(src io.ReadCloser, controller *http.ResponseController, left int64) *requestBody {
	return &requestBody{src: src, controller: controller, left: left, reading: make(chan struct{}, 1)}
}

// bodyError is an error in reading the client's request.
type bodyError struct{ err error }

func (e *bodyError) Error() string { return "read request body: " + e.err.Error() }
func (e *bodyError) Unwrap() error { return e.err }

// Read implements io.Reader.
func (b *requestBody) Read(p []byte) (int, error) {
	if b.before != nil {
		b.before()
	}
	b.reading <- struct{}{}
	defer func() { <-b.reading }()
	if b.stopped.Load() {
		return 0, errUploadStopped
	}
	if b.ended.Load() {
		return 0, io.EOF
	}
	n, err := b.src.Read(p)
	if b.left >= 0 && err == nil {
		// net/http's HTTP/2 holds the last bytes back until it has seen the end.
		if b.left = max(b.left-int64(n), 0); b.left == 0 {
			err = io.EOF
		}
	}
	switch {
	case err == io.EOF:
		b.ended.Store(true)
		b.onEnd()
	case err != nil && !b.stopped.Load():
		failure := &bodyError{err: err}
		b.failure.Store(failure)
		err = failure
	}
	return n, err
}

// Close implements io.Closer for http.Transport, which closes a body that it wants
// no more of. A Read that waits goes on waiting: net/http's server takes an
// interrupted one for the client's end, and cancels the request whose response
// may still be on its way.
func (b *requestBody) Close() error {
	b.stopped.Store(true)
	return nil
}

// interrupt makes a Read that waits return, and later ones fail.
func (b *requestBody) interrupt() {
	b.stopped.Store(true)
	if b.ended.Load() || b.interrupted.Swap(true) {
		return
	}
	if err := b.controller.SetReadDeadline(longAgo); err != nil {
		// Where there are no deadlines, as behind the tunnel, closing the body has
		// the same effect.
		_ = b.src.Close()
	}
}

// stopGrace is how long a Read that waits may go on after the response, before it
// is interrupted.
const stopGrace = 5 * time.Millisecond

// stop returns when nothing reads the body any more. A client that is sending
// need not be interrupted: net/http's server takes some more from it, so that it
// sees the response rather than a reset, and may keep the connection.
func (b *requestBody) stop() {
	b.stopped.Store(true)
	defer func() { <-b.reading }()
	select {
	case b.reading <- struct{}{}:
		return
	default:
	}
	patience := time.NewTimer(stopGrace)
	defer patience.Stop()
	select {
	case b.reading <- struct{}{}:
	case <-patience.C:
		b.interrupt()
		b.reading <- struct{}{}
	}
}

// err returns the error that the client's request ended with, if it did.
func (b *requestBody) err() error {
	if failure := b.failure.Load(); failure != nil {
		return failure
	}
	return nil
}
