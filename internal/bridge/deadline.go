package bridge

import (
	"math"
	"sync"
	"sync/atomic"
	"time"
)

// deadline is a deadline that interrupts something once, and that cannot be
// extended after it has passed.
type deadline struct {
	mu    sync.Mutex
	timer *time.Timer
	over  bool
}

func (d *deadline) passed() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.over
}

// set arms the deadline anew; the zero time disarms it.
func (d *deadline) set(at time.Time, interrupt func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.over {
		return
	}
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
	if at.IsZero() {
		return
	}
	if !at.After(time.Now()) {
		d.over = true
		interrupt()
		return
	}
	d.timer = time.AfterFunc(time.Until(at), func() {
		d.mu.Lock()
		d.over = true
		d.mu.Unlock()
		interrupt()
	})
}

func (d *deadline) stop() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.timer != nil {
		d.timer.Stop()
	}
}

// writeDeadline is a deadline that can be moved, also after it has passed. What is
// being sent when it passes is interrupted, and that cannot be taken back.
type writeDeadline struct {
	at atomic.Pointer[time.Time] // nil if there is none

	mu    sync.Mutex // guards timer
	timer *time.Timer
}

func (d *writeDeadline) passed() bool {
	at := d.at.Load()
	return at != nil && !time.Now().Before(*at)
}

// set moves the deadline; the zero time takes it away.
func (d *writeDeadline) set(at time.Time, interrupt func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
	if at.IsZero() {
		d.at.Store(nil)
		return
	}
	d.at.Store(&at)
	d.timer = time.AfterFunc(time.Until(at), func() {
		if d.passed() { // it may have been moved meanwhile
			interrupt()
		}
	})
}

func (d *writeDeadline) stop() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.timer != nil {
		d.timer.Stop()
	}
}

// idleWatch notices when nothing has moved, in either direction, while the
// handler waits for more of the request.
type idleWatch struct {
	timeout time.Duration // 0 means never
	stream  ServerStream

	start   time.Time
	last    atomic.Int64 // when something moved, in nanoseconds since start
	waiting atomic.Bool
	expired atomic.Bool
	timer   *time.Timer
}

// wait begins waiting for the client.
func (w *idleWatch) wait() {
	if w.timeout == 0 {
		return
	}
	if w.timer == nil {
		w.start = time.Now()
		w.timer = time.AfterFunc(math.MaxInt64, w.check) // not before timer is set
		w.timer.Reset(w.timeout)
	}
	w.last.Store(int64(time.Since(w.start)))
	w.waiting.Store(true)
}

// moved says that something has come from the client.
func (w *idleWatch) moved() { w.waiting.Store(false) }

// sent says that something has gone to the client.
func (w *idleWatch) sent() {
	if w.waiting.Load() {
		w.last.Store(int64(time.Since(w.start)))
	}
}

// check runs in the timer's goroutine, and starts the timer again while there is
// time left.
func (w *idleWatch) check() {
	left := w.timeout
	if w.waiting.Load() {
		left -= time.Since(w.start) - time.Duration(w.last.Load())
	}
	if left > 0 {
		w.timer.Reset(left)
		return
	}
	w.expired.Store(true)
	w.stream.InterruptReceive()
}

func (w *idleWatch) stop() {
	if w.timer != nil {
		w.timer.Stop()
	}
}
