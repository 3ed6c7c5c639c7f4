package connwatch

import (
	"encoding/binary"
	"errors"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/net/http2"

	"github.com/culvert-http/culvert/internal/framing"
	"github.com/culvert-http/culvert/internal/resets"
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

var (
	errTooManyFrames = errors.New("too many frames of HTTP/2 that bring nothing")
	errTooManyResets = errors.New("too many requests of HTTP/2 that come to nothing")
)

// Types of frames, and flags [RFC 9113 § 6].
const (
	dataFrame     = 0x0
	headersFrame  = 0x1
	resetFrame    = 0x3
	settingsFrame = 0x4
	pingFrame     = 0x6

	endStreamFlag = 0x1
	ackFlag       = 0x1
)

// frameScan finds the frames of HTTP/2.
type frameScan struct{ framing.Track }

func (s *frameScan) next(p []byte) (rest []byte, begun bool) { return s.Next(framing.HTTP2, p) }

func (s *frameScan) kind() byte { return s.Header[3] }

// stream is the one of the frame that has begun; a bit beside it is reserved.
func (s *frameScan) stream() uint64 {
	return uint64(binary.BigEndian.Uint32(s.Header[5:]) &^ (1 << 31))
}

// useful reports whether the frame that has begun is of a message.
func (s *frameScan) useful() bool {
	kind := s.kind()
	return kind == headersFrame || kind == dataFrame && s.Left > 0
}

// answer reports whether the frame that has begun answers another.
func (s *frameScan) answer() bool {
	kind := s.kind()
	return (kind == settingsFrame || kind == pingFrame) && s.Header[4]&ackFlag != 0
}

// ends reports whether the frame that has begun is the last of its stream.
func (s *frameScan) ends() bool {
	kind := s.kind()
	return (kind == headersFrame || kind == dataFrame) && s.Header[4]&endStreamFlag != 0
}

// frames counts the frames of a connection of HTTP/2, to know when too many bring
// nothing. Its methods may be called concurrently with each other, but not each
// with itself.
type frames struct {
	in, out frameScan
	allowed atomic.Int64 // frames that bring nothing, for now
	since   time.Time    // when time has last allowed some
	resets  *resets.Count
	// over are the streams that were last sent the end of, in no order: what comes for
	// them too late is no mistake.
	over [64]uint64
	next int // of over
}

func newFrames(resets *resets.Count) *frames {
	f := &frames{since: time.Now(), resets: resets}
	f.allowed.Store(idlePerSecond)
	return f
}

// received takes what comes. It returns for how long nothing more is to be read, or
// an error if the connection may not go on.
func (f *frames) received(p []byte) (pause time.Duration, err error) {
	for rest, begun := f.in.next(p); begun; rest, begun = f.in.next(rest) {
		switch f.in.kind() {
		case headersFrame:
			f.resets.Begin(f.in.stream())
		case resetFrame:
			f.resets.TakeBack(f.in.stream())
		}
		switch {
		case f.in.useful():
			f.allow()
		case f.in.answer() || f.allowed.Add(-1) >= 0:
		case !f.passTime():
			return 0, errTooManyFrames
		}
	}
	pause, ok := f.resets.Pause()
	if !ok {
		return 0, errTooManyResets
	}
	return pause, nil
}

// sent takes what goes. It reports whether more will follow that could go with it:
// parts of messages, none of which is the last of its stream.
func (f *frames) sent(p []byte) (more bool) {
	more = f.out.Between()
	for rest, begun := f.out.next(p); begun; rest, begun = f.out.next(rest) {
		message := f.out.kind() == headersFrame || f.out.kind() == dataFrame
		more = more && message && !f.out.ends()
		if f.out.useful() {
			f.allow()
		}
		switch {
		case f.out.ends():
			f.resets.Answer()
			f.isOver(f.out.stream())
		case f.out.kind() == resetFrame && blames(rest) && !slices.Contains(f.over[:], f.out.stream()):
			f.resets.Fail()
			f.isOver(f.out.stream())
		}
	}
	return more && f.out.Between()
}

func (f *frames) isOver(stream uint64) {
	f.over[f.next] = stream
	f.next = (f.next + 1) % len(f.over)
}

// blames reports whether a reset says that the other end has made a mistake. Its
// code is there nearly always: it is written at once.
func blames(payload []byte) bool {
	if len(payload) < 4 {
		return false
	}
	switch http2.ErrCode(binary.BigEndian.Uint32(payload)) {
	case http2.ErrCodeProtocol, http2.ErrCodeFlowControl, http2.ErrCodeStreamClosed,
		http2.ErrCodeFrameSize, http2.ErrCodeRefusedStream:
		return true
	default:
		return false
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
