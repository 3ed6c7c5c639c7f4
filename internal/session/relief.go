package session

import (
	"time"

	culvertv1 "github.com/culvert-http/culvert/api/culvert/v1"
)

// ReliefTime is how long nothing was read of an exchange that is given up for the
// others, at least; it can be twice that.
const ReliefTime = 5 * time.Second

// isCrowded reports whether so much is unread that new exchanges are better off
// in another session.
func (s *Session) isCrowded() bool { return s.held >= s.config.MaxBytes/2 }

// isStarved reports whether the other end may send nothing, and gets no credit
// before something is read.
func (s *Session) isStarved() bool { return s.allowance <= 0 && !s.isDue() }

// relieve gives up exchanges that nobody reads, if nothing can be sent of the
// others because of them.
func (s *Session) relieve() {
	if !s.isCrowded() || s.err != nil {
		return
	}
	if s.nextSpan == nil {
		s.nextSpan = time.AfterFunc(ReliefTime, s.endSpan)
	}
	for s.isStarved() {
		x := s.burden()
		if x == nil {
			return // all are read
		}
		x.drop()
		x.recvEnd = false // it has not all been read
		x.reset(&ResetError{
			Cause:   culvertv1.Cause_CAUSE_TOO_MANY_EXCHANGES,
			Message: "nothing was read of it, and its session is full",
		})
	}
}

// endSpan runs in the goroutine of a timer, as long as much is unread.
func (s *Session) endSpan() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.nextSpan = nil
	s.span++
	s.relieve()
}

// burden returns the exchange to give up, nil if there is none: of those that
// hold much beside the others, the one that was not read for the longest time.
func (s *Session) burden() *Exchange {
	most := int64(0)
	for _, x := range s.exchanges {
		if x.isForgotten() {
			most = max(most, x.held)
		}
	}
	var burden *Exchange
	for _, x := range s.exchanges {
		if x.isForgotten() && x.held >= most/2 && (burden == nil || x.readAt < burden.readAt) {
			burden = x
		}
	}
	return burden
}

// isForgotten reports whether the exchange holds something, and none of it was
// read in all of a span.
func (x *Exchange) isForgotten() bool {
	return x.held > 0 && x.session.span-x.readAt >= 2
}
