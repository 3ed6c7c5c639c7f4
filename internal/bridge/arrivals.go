package bridge

import (
	"errors"
	"net"
	"os"
	"sync"
	"time"
)

// arrivals hands over what was received, one frame at a time, to a reader whose
// deadlines can be moved.
type arrivals struct {
	// pause ends the wait of a reader that receives by itself, nil if none does.
	pause func()

	mu       sync.Mutex // guards what follows
	changed  sync.Cond
	data     []byte
	err      error
	over     bool // the deadline has passed
	timer    *time.Timer
	timerSeq int
}

func newArrivals() *arrivals {
	a := &arrivals{}
	a.changed.L = &a.mu
	return a
}

// put hands over data and waits until it was read. It reports false if nobody
// will.
func (a *arrivals) put(data []byte) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.data = data
	a.changed.Broadcast()
	for len(a.data) > 0 && a.err == nil {
		a.changed.Wait()
	}
	return a.err == nil
}

// end has all reads that come after the data return err. The first one counts,
// but for net.ErrClosed, which is what everybody gets after Close.
func (a *arrivals) end(err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.err == nil || errors.Is(err, net.ErrClosed) {
		a.err = err
	}
	if a.timer != nil && errors.Is(err, net.ErrClosed) {
		a.timer.Stop()
	}
	a.wake()
}

// wake has those who wait look again.
func (a *arrivals) wake() {
	a.changed.Broadcast()
	if a.pause != nil {
		a.pause()
	}
}

// read waits for what put hands over.
func (a *arrivals) read(p []byte) (int, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for {
		if n, ready, err := a.next(p); ready {
			return n, err
		}
		a.changed.Wait()
	}
}

// take does not wait. It reports false if there is nothing yet.
func (a *arrivals) take(p []byte) (n int, ready bool, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.next(p)
}

// set is put for the reader itself.
func (a *arrivals) set(data []byte) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.data = data
}

func (a *arrivals) next(p []byte) (n int, ready bool, err error) {
	switch {
	case errors.Is(a.err, net.ErrClosed):
		return 0, true, net.ErrClosed
	case a.over:
		return 0, true, os.ErrDeadlineExceeded
	case len(a.data) > 0:
		n := copy(p, a.data)
		if a.data = a.data[n:]; len(a.data) == 0 {
			a.changed.Broadcast()
		}
		return n, true, nil
	case a.err != nil:
		return 0, true, a.err
	default:
		return 0, false, nil
	}
}

// setDeadline moves the deadline of reads, also one that has passed; the zero
// time takes it away.
func (a *arrivals) setDeadline(at time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.timer != nil {
		a.timer.Stop()
		a.timer = nil
	}
	a.timerSeq++
	a.over = false
	if at.IsZero() || errors.Is(a.err, net.ErrClosed) {
		return
	}
	if !at.After(time.Now()) {
		a.over = true
		a.wake()
		return
	}
	seq := a.timerSeq
	a.timer = time.AfterFunc(time.Until(at), func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		if seq == a.timerSeq {
			a.over = true
			a.wake()
		}
	})
}
