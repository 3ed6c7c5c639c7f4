package culvert

import (
	"errors"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// errGatewayIdle is the error of a request's body whose client sends no more.
var errGatewayIdle = errors.New("nothing of the request's body has come for too long")

// bodyWatch interrupts the reading of a request's body when nothing has moved, in
// either direction, for too long.
type bodyWatch struct {
	timeout time.Duration // 0 means never
	control *http.ResponseController
	start   time.Time    // of the exchange
	last    atomic.Int64 // when something moved, in nanoseconds since start
	expired atomic.Bool

	mu      sync.Mutex // guards what follows
	reading bool
	timer   *time.Timer
}

// begin begins a read.
func (w *bodyWatch) begin() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.reading = true
	w.moved()
	switch {
	case w.timeout == 0:
	case w.timer == nil:
		w.timer = time.AfterFunc(w.timeout, w.check)
	default:
		w.timer.Reset(w.timeout)
	}
}

// end ends it.
func (w *bodyWatch) end() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.reading = false
	if w.timer != nil {
		w.timer.Stop()
	}
}

// moved says that something has come from the client or gone to it.
func (w *bodyWatch) moved() { w.last.Store(int64(time.Since(w.start))) }

// check runs in the timer's goroutine, and starts the timer again while there is
// time left.
func (w *bodyWatch) check() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.reading {
		return
	}
	if left := w.timeout - (time.Since(w.start) - time.Duration(w.last.Load())); left > 0 {
		w.timer.Reset(left)
		return
	}
	w.expired.Store(true)
	_ = w.control.SetReadDeadline(longAgo)
}

// interrupt ends a read that waits.
func (w *bodyWatch) interrupt() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.reading {
		_ = w.control.SetReadDeadline(longAgo)
	}
}
