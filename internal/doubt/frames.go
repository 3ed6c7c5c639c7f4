package doubt

import (
	"sync/atomic"
	"time"

	"github.com/culvert-http/culvert/internal/framing"
)

// Bounds of the frames of a connection of HTTP/2 that bring nothing and yet want
// something done: PING and SETTINGS, of which each is answered, credit, priorities,
// resets, frames that are empty, and those that nobody knows [RFC 9113 § 10.5].
const (
	// idlePerSecond is how many of them there may be for long, and at once.
	idlePerSecond = 1000
	// idlePerUseful is how many go with each frame of a message, in either direction:
	// who receives much gives much credit, and may measure the round trip each time.
	// It is what Envoy has.
	idlePerUseful = 10
	// maxIdle bounds those that have been saved up.
	maxIdle = 10_000
)

// Types of frames, and the flag of an answer [RFC 9113 § 6].
const (
	dataFrame     = 0x0
	headersFrame  = 0x1
	settingsFrame = 0x4
	pingFrame     = 0x6
	ackFlag       = 0x1
)

// frameScan finds the frames of HTTP/2.
type frameScan struct{ framing.Track }

func (s *frameScan) next(p []byte) (rest []byte, begun bool) { return s.Next(framing.HTTP2, p) }

// useful reports whether the frame that has begun is of a message.
func (s *frameScan) useful() bool {
	kind := s.Header[3]
	return kind == headersFrame || kind == dataFrame && s.Left > 0
}

// answer reports whether the frame that has begun answers another.
func (s *frameScan) answer() bool {
	kind := s.Header[3]
	return (kind == settingsFrame || kind == pingFrame) && s.Header[4]&ackFlag != 0
}

// frames counts the frames of a connection of HTTP/2, to know when too many bring
// nothing. Its methods may be called concurrently with each other, but not each
// with itself.
type frames struct {
	in, out frameScan
	allowed atomic.Int64 // frames that bring nothing, for now
	since   time.Time    // when time has last allowed some
}

func newFrames() *frames {
	f := &frames{since: time.Now()}
	f.allowed.Store(idlePerSecond)
	return f
}

// received takes what comes, and reports whether the connection may go on.
func (f *frames) received(p []byte) bool {
	for rest, begun := f.in.next(p); begun; rest, begun = f.in.next(rest) {
		switch {
		case f.in.useful():
			f.allow()
		case f.in.answer() || f.allowed.Add(-1) >= 0:
		case !f.passTime():
			return false
		}
	}
	return true
}

// sent takes what goes.
func (f *frames) sent(p []byte) {
	for rest, begun := f.out.next(p); begun; rest, begun = f.out.next(rest) {
		if f.out.useful() {
			f.allow()
		}
	}
}

func (f *frames) allow() {
	if f.allowed.Load() < maxIdle {
		f.allowed.Add(idlePerUseful)
	}
}

// passTime allows what goes with the time that has passed, and reports whether
// that is anything.
func (f *frames) passTime() bool {
	now := time.Now()
	more := min(int64(now.Sub(f.since).Seconds()*idlePerSecond), idlePerSecond)
	f.since = now
	return f.allowed.Add(more) >= 0
}
