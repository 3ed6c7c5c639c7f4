package server

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync"
	"time"
)

// Bounds of the services beside the tunnel.
const (
	// maxBesideMessage bounds a message of a client, decompressed.
	maxBesideMessage = 64 << 10
	// maxBesideResponse bounds a message to a client.
	maxBesideResponse = 4 << 20
	// maxBesideBody bounds all messages of one RPC: a reflection stream may ask
	// thousands of times.
	maxBesideBody = 1 << 20
	// besideIdle is how long a client may send nothing while its RPC waits for it.
	besideIdle = time.Minute
)

var errClosing = errors.New("server is shutting down")

// bounded has the request body of an RPC beside the tunnel end when it is too
// large, when nothing comes for too long, when its context ends, and when the
// server shuts down.
// Connect's own limits do not stop its reading: it drains what is over them for
// as long as the client sends.
func (s *Server) bounded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body := &boundedBody{
			ReadCloser: http.MaxBytesReader(w, r.Body, maxBesideBody),
			control:    http.NewResponseController(w),
			closing:    s.closing,
			ctx:        r.Context(),
		}
		stop := context.AfterFunc(s.closing, body.interrupt) //nolint:contextcheck // the server's end, not the request's
		stopWithRequest := context.AfterFunc(r.Context(), body.interrupt)
		defer body.finish()
		defer stopWithRequest()
		defer stop()
		r.Body = body
		next.ServeHTTP(w, r)
	})
}

type boundedBody struct {
	io.ReadCloser
	control *http.ResponseController
	closing context.Context
	ctx     context.Context //nolint:containedctx // of the request
	ended   bool

	mu       sync.Mutex
	finished bool
}

// interrupt ends the Read that waits.
func (b *boundedBody) interrupt() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.finished {
		_ = b.control.SetReadDeadline(time.Now())
	}
}

// finish is called when the handler is about to return: its ResponseWriter, which
// the deadlines are set through, must not be touched after that.
func (b *boundedBody) finish() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.finished = true
}

// Read implements io.Reader. It looks at closing after it moved the deadline, so
// that the deadline of the server's end, which is set after closing is done, is
// never the one that is lost.
func (b *boundedBody) Read(p []byte) (int, error) {
	if !b.ended {
		_ = b.control.SetReadDeadline(time.Now().Add(besideIdle))
	}
	if b.closing.Err() != nil {
		return 0, errClosing
	}
	if err := b.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := b.ReadCloser.Read(p)
	if err != nil && !b.ended {
		b.ended = true
		// On HTTP/1.1 the deadline is the connection's, and would end the RPC
		// whose request was read to its end.
		_ = b.control.SetReadDeadline(time.Time{})
	}
	return n, err
}
