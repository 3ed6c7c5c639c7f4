package session

import (
	"time"

	culvertv1 "github.com/culvert-http/culvert/api/culvert/v1"
)

// MaxWindow is what the window of an exchange grows to, in bytes: as much as the
// stream of HTTP/2 has that carries the session.
const MaxWindow = 4 << 20

// probeAge is how long a round trip that was measured counts.
const probeAge = time.Second

// pulse is what a session knows of the time that a round trip takes.
type pulse struct {
	shortest time.Duration // 0 if it is not known yet
	asked    time.Duration // at which age of the session a ping was sent last
	number   uint64        // of that ping, until it is answered
}

// grow doubles the window of an exchange that is due credit, if half of it went by
// within two round trips, and its reader had to wait meanwhile: it is the window
// that keeps it from being faster.
func (x *Exchange) grow() {
	s := x.session
	if x.window >= s.sizes.maxWindow || s.halfClosed {
		return
	}
	now := time.Since(s.began)
	s.measure(now)
	fast := x.waited && now-x.grown < 2*s.pulse.shortest
	x.grown, x.waited = now, false
	if !fast || s.isCrowded() {
		return
	}
	more := min(x.window, s.sizes.maxWindow-x.window, s.config.MaxBytes/4-s.extra)
	if more <= 0 {
		return
	}
	x.window += more
	x.ungranted += more
	s.extra += more
}

// shrink gives back what a window has grown by.
func (x *Exchange) shrink() {
	x.session.extra -= x.window - x.session.config.Window
	x.window = x.session.config.Window
}

// measure sends a ping, unless one is under way or was just answered.
func (s *Session) measure(now time.Duration) {
	if s.pulse.number != 0 || s.pulse.shortest > 0 && now-s.pulse.asked < probeAge {
		return
	}
	s.nextPing++
	s.pulse.number, s.pulse.asked = s.nextPing, now
	s.appendControl(&culvertv1.ServerFrame{Ping: &culvertv1.Ping{Number: s.nextPing}})
}

// measured takes the answer to it. What waits on its way does not belong to the
// round trip: the shortest one counts.
func (s *Session) measured() {
	took := time.Since(s.began) - s.pulse.asked
	s.pulse.number = 0
	if s.pulse.shortest == 0 || took < s.pulse.shortest {
		s.pulse.shortest = took
	}
}
