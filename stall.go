package culvert

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"

	culvertv1 "github.com/culvert-http/culvert/api/culvert/v1"
)

// stallChunk is how much is written under one deadline: a client that takes less
// than that in the time of a stall is taken for one that has stopped.
const stallChunk = 64 << 10

// stallWatch interrupts what waits for a client that does not read.
type stallWatch struct {
	timeout time.Duration // 0 means never
	waits   interface{ interrupt() }
	stalled atomic.Bool

	mu     sync.Mutex // guards what follows
	writes int        // that have begun and not ended
	timer  *time.Timer
}

// begin begins a write.
func (s *stallWatch) begin() {
	if s.timeout == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writes++
	if s.timer != nil {
		s.timer.Reset(s.timeout)
		return
	}
	s.timer = time.AfterFunc(s.timeout, s.expire)
}

// end ends it.
func (s *stallWatch) end() {
	if s.timeout == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.writes--; s.writes == 0 {
		s.timer.Stop()
	}
}

// expire runs in the timer's goroutine.
func (s *stallWatch) expire() {
	s.mu.Lock()
	writing := s.writes > 0
	s.mu.Unlock()
	if writing {
		s.stalled.Store(true)
		s.waits.interrupt()
	}
}

// stallWriter is a ResponseWriter of net/http whose writes are interrupted when
// the client takes nothing of them. An interrupted write fails, and so do those
// after it.
type stallWriter struct {
	http.ResponseWriter
	control *http.ResponseController
	watch   stallWatch
	http1   bool
	pending atomic.Bool // something was written and not flushed
	bounded bool        // by a deadline, to its end

	mu       sync.Mutex // guards finished
	finished bool
}

func newStallWriter(w http.ResponseWriter, r *http.Request, timeout time.Duration) *stallWriter {
	s := new(stallWriter)
	s.init(w, r, timeout)
	return s
}

func (s *stallWriter) init(w http.ResponseWriter, r *http.Request, timeout time.Duration) {
	s.ResponseWriter, s.control = w, http.NewResponseController(w)
	s.watch.timeout, s.watch.waits = timeout, s
	s.http1 = r.ProtoMajor < 2
}

// interrupt ends the write that waits.
func (s *stallWriter) interrupt() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.finished { // net/http's writers do not survive their handlers
		_ = s.control.SetWriteDeadline(inThePast)
	}
}

// boundRest puts all that is left to be written under one deadline, to net/http's
// own writes after the handler: for a response that is short and there as a whole.
// It does nothing in HTTP/2, where each write has one of its own.
func (s *stallWriter) boundRest() {
	if s.http1 && s.watch.timeout > 0 && !s.stalled() {
		s.bounded = s.control.SetWriteDeadline(time.Now().Add(s.watch.timeout)) == nil
	}
}

// finish is called when the handler is about to return. It leaves a deadline for
// what net/http has still to write then, and takes away again when it has; in
// HTTP/2 the end of a stream needs no credit.
func (s *stallWriter) finish() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.finished = true
	if s.bounded {
		return
	}
	if (s.http1 || s.pending.Load()) && s.watch.timeout > 0 && !s.stalled() {
		_ = s.control.SetWriteDeadline(time.Now().Add(s.watch.timeout))
	}
}

// stalled reports whether a write was interrupted.
func (s *stallWriter) stalled() bool { return s.watch.stalled.Load() }

// WriteHeader implements http.ResponseWriter. Interim responses are written at
// once.
func (s *stallWriter) WriteHeader(status int) {
	if !s.bounded {
		s.watch.begin()
		defer s.watch.end()
	}
	s.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (s *stallWriter) Write(p []byte) (n int, err error) {
	s.pending.Store(true)
	if s.bounded {
		n, err = s.ResponseWriter.Write(p)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			s.watch.stalled.Store(true)
		}
		return n, err
	}
	for first := true; err == nil && (first || n < len(p)); first = false {
		var m int
		m, err = s.writeChunk(p[n:min(len(p), n+stallChunk)])
		n += m
	}
	return n, err
}

func (s *stallWriter) writeChunk(p []byte) (int, error) {
	s.watch.begin()
	defer s.watch.end()
	return s.ResponseWriter.Write(p)
}

// Flush implements http.Flusher, which connect asks for.
func (s *stallWriter) Flush() { _ = s.FlushError() }

// FlushError sends what was written.
func (s *stallWriter) FlushError() error {
	s.watch.begin()
	defer s.watch.end()
	err := s.control.Flush()
	s.pending.Store(err != nil)
	return err
}

// Unwrap has http.ResponseController find net/http's own writer.
func (s *stallWriter) Unwrap() http.ResponseWriter { return s.ResponseWriter }

// stalledFor is the error of an exchange whose client has stopped reading.
func stalledFor(timeout time.Duration) *Error {
	return &Error{
		Cause:  culvertv1.Cause_CAUSE_DEADLINE_EXCEEDED,
		Err:    fmt.Errorf("the client has taken nothing of the response for %s", timeout),
		Public: true,
	}
}

// stallConn is a connection that was taken over, and fails when its peer takes
// nothing of what is written to it.
type stallConn struct {
	net.Conn
	timeout time.Duration
}

// Write implements net.Conn.
func (c stallConn) Write(p []byte) (n int, err error) {
	for first := true; err == nil && (first || n < len(p)); first = false {
		if err := c.SetWriteDeadline(time.Now().Add(c.timeout)); err != nil {
			return n, err
		}
		var m int
		m, err = c.Conn.Write(p[n:min(len(p), n+stallChunk)])
		n += m
	}
	return n, err
}

// CloseWrite ends what is sent, and leaves what is received.
func (c stallConn) CloseWrite() error { return closeWrite(c.Conn) }
