package connwatch

import (
	"context"
	"io"
	"sync"
	"time"
)

const (
	// holdFor bounds how long something is held.
	holdFor = time.Millisecond
	// maxHeld bounds what is held, in bytes.
	maxHeld = 32 << 10
)

// Holder holds what is written to a connection of HTTP/2 for a moment, so that the
// last frames of a stream go out in one write. Net/http's server makes one for each:
// the header section, the data, and the trailers.
type Holder struct {
	to io.Writer

	mu    sync.Mutex
	on    bool
	held  *[maxHeld]byte
	n     int // bytes of held
	timer *time.Timer
}

var heldMemory = sync.Pool{New: func() any { return new([maxHeld]byte) }}

// Hold says that the end of a stream is about to be written, on the connection of a
// request: what is written before it goes out with it, or after a moment. It returns
// what holds it, which is nil where nothing does.
func Hold(ctx context.Context) *Holder {
	watched, ok := ctx.Value(connKey{}).(*conn)
	if !ok || watched.frames == nil {
		return nil
	}
	watched.hold.hold()
	return &watched.hold
}

func (h *Holder) hold() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.on {
		return // its time has begun
	}
	h.on = true
	if h.timer == nil {
		h.timer = time.AfterFunc(holdFor, h.Release)
	} else {
		h.timer.Reset(holdFor)
	}
}

// Release has everything written that is held. A nil *Holder holds nothing.
func (h *Holder) Release() {
	if h == nil {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	_ = h.flush() // who writes next gets the error
}

// flush needs the lock.
func (h *Holder) flush() error {
	h.on = false
	if h.held == nil {
		return nil
	}
	_, err := h.to.Write(h.held[:h.n])
	heldMemory.Put(h.held)
	h.held, h.n = nil, 0
	return err
}

// write writes p, with what is held before it, or holds it. Whether it may be held
// says mayHold.
func (h *Holder) write(p []byte, mayHold bool) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	mayHold = mayHold && h.on
	if !mayHold && h.held == nil {
		h.on = false
		return h.to.Write(p)
	}
	if h.n+len(p) > maxHeld {
		if err := h.flush(); err != nil {
			return 0, err
		}
		return h.to.Write(p)
	}
	if h.held == nil {
		h.held = heldMemory.Get().(*[maxHeld]byte)
	}
	h.n += copy(h.held[h.n:], p)
	if mayHold {
		return len(p), nil
	}
	if err := h.flush(); err != nil {
		return 0, err
	}
	return len(p), nil
}

// stop ends what is held when the connection is closed. It waits for nobody: a write
// that is stuck ends with the connection.
func (h *Holder) stop() {
	if h.mu.TryLock() {
		defer h.mu.Unlock()
		if h.timer != nil {
			h.timer.Stop()
		}
		_ = h.flush()
	}
}
