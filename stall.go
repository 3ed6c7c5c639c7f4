package culvert

import (
	"fmt"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	culvertv1 "github.com/culvert-http/culvert/api/culvert/v1"
	"github.com/culvert-http/culvert/internal/timeout"
)

// stallChunk is how much is written under one watch, or up to twice as much: a
// client that takes less than that in the time of a stall is taken for one that
// has stopped.
const stallChunk = 256 << 10

// stalls are the bound on the time in which nothing is taken of what is written,
// for all who write. The zero value is no bound.
type stalls struct {
	timeout time.Duration
	ticks   timeout.Queue[stallWatch]
}

// stallTicks is how often a writer is looked at in the time of a stall. It costs
// nothing while it writes.
const stallTicks = 4

// stallWatch interrupts writes that wait for one who does not read: after the time
// of a stall, and at most a quarter of that later. Most writes wait for nobody, and
// there are many of them: they neither touch a timer nor ask for the time.
type stallWatch struct {
	stalls *stalls                        // like writer, set once, with mu held
	writer interface{ interruptWrites() } // called with mu held

	// writes counts those that run, and changes with each beginning and end: see
	// writing.
	writes      atomic.Uint64
	interrupted atomic.Bool

	mu   sync.Mutex // guards what follows
	tick timeout.Timeout[stallWatch]
	seen uint64 // of writes, at the last tick
	same int    // ticks since it changed
	over bool
}

// start begins to watch over the writes of a writer, until stop, which may have
// been called already.
func (s *stallWatch) start(stalls *stalls, writer interface{ interruptWrites() }) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stalls, s.writer = stalls, writer
	if !s.over {
		s.again()
	}
}

// writing is what a write adds to the count of those that run, and takes away
// again; oneMore is what both add, so that the count is not the same afterwards.
const (
	writing = 1
	oneMore = 1 << 16
)

func (s *stallWatch) begin() { s.writes.Add(oneMore + writing) }
func (s *stallWatch) end()   { s.writes.Add(oneMore - writing) }

// again has the writer looked at after a while.
func (s *stallWatch) again() {
	if s.stalls.timeout > 0 {
		s.stalls.ticks.Start(&s.tick, max(s.stalls.timeout/stallTicks, 1), s, (*stallWatch).look)
	}
}

// look sees whether a write has made no progress for the time of a stall.
func (s *stallWatch) look() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over {
		return
	}
	writes := s.writes.Load()
	if s.same++; writes != s.seen || writes%oneMore == 0 {
		s.seen, s.same = writes, 0
	}
	if s.same >= stallTicks {
		s.same = 0
		s.interrupted.Store(true)
		go s.interrupt()
	}
	s.again()
}

// interrupt ends the writes that wait.
func (s *stallWatch) interrupt() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.over {
		s.writer.interruptWrites()
	}
}

// stop ends the watch: what is written is not interrupted any more.
func (s *stallWatch) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.over = true
	if s.stalls != nil && s.stalls.timeout > 0 {
		s.stalls.ticks.Stop(&s.tick)
	}
}

// stalled reports whether writes were interrupted.
func (s *stallWatch) stalled() bool { return s.interrupted.Load() }

// stallWriter is a ResponseWriter of net/http whose writes are interrupted when
// the client takes nothing of them. An interrupted write fails, and so do those
// after it.
type stallWriter struct {
	http.ResponseWriter
	stallWatch

	control http.ResponseController
	http1   bool
	pending atomic.Bool // something was written and not flushed
}

// watch begins to watch over the writes of w, until finish.
func (s *stallWriter) watch(w http.ResponseWriter, r *http.Request, stalls *stalls) {
	s.ResponseWriter, s.control = w, *http.NewResponseController(w)
	s.http1 = r.ProtoMajor < 2
	s.start(stalls, s)
}

// interruptWrites ends the write that waits. net/http's writers do not survive
// their handlers.
func (s *stallWriter) interruptWrites() { _ = s.control.SetWriteDeadline(inThePast) }

// finish is called when the handler is about to return. It leaves a deadline for
// what net/http has still to write then, and takes away again when it has; in
// HTTP/2 the end of a stream needs no credit.
func (s *stallWriter) finish() {
	s.stop()
	if (s.http1 || s.pending.Load()) && s.stalls.timeout > 0 && !s.stalled() {
		_ = s.control.SetWriteDeadline(time.Now().Add(s.stalls.timeout))
	}
}

// WriteHeader implements http.ResponseWriter. Interim responses are written at
// once.
func (s *stallWriter) WriteHeader(status int) {
	s.begin()
	defer s.end()
	s.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (s *stallWriter) Write(p []byte) (n int, err error) {
	if !s.pending.Load() {
		s.pending.Store(true)
	}
	for len(p)-n >= 2*stallChunk && err == nil {
		var m int
		m, err = s.writeChunk(p[n : n+stallChunk])
		n += m
	}
	if err != nil {
		return n, err
	}
	m, err := s.writeChunk(p[n:])
	return n + m, err
}

func (s *stallWriter) writeChunk(p []byte) (int, error) {
	s.begin()
	defer s.end()
	return s.ResponseWriter.Write(p)
}

// Flush implements http.Flusher, which connect asks for.
func (s *stallWriter) Flush() { _ = s.FlushError() }

// FlushError sends what was written.
func (s *stallWriter) FlushError() error {
	s.begin()
	defer s.end()
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
	stallWatch
}

// newStallConn returns a connection that has to be stopped.
func newStallConn(conn net.Conn, stalls *stalls) *stallConn {
	c := &stallConn{Conn: conn}
	c.start(stalls, c)
	return c
}

func (c *stallConn) interruptWrites() { _ = c.SetWriteDeadline(inThePast) }

// Write implements net.Conn.
func (c *stallConn) Write(p []byte) (n int, err error) {
	for first := true; err == nil && (first || n < len(p)); first = false {
		var m int
		m, err = c.writeChunk(p[n:min(len(p), n+stallChunk)])
		n += m
	}
	return n, err
}

func (c *stallConn) writeChunk(p []byte) (int, error) {
	c.begin()
	defer c.end()
	return c.Conn.Write(p)
}

// CloseWrite ends what is sent, and leaves what is received.
func (c *stallConn) CloseWrite() error { return closeWrite(c.Conn) }
