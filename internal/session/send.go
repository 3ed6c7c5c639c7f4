package session

import (
	"context"
	"time"

	culvertv1 "github.com/culvert-http/culvert/api/culvert/v1"
)

// Open opens an exchange with its first part, which is the two pieces together
// and must have a head. end says that the part has its end set. It waits for its
// turn to send, at most until ctx is done.
func (s *Session) Open(ctx context.Context, meta, data []byte, end bool) (*Exchange, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	x := s.newExchange()
	ignore := func() bool { return true }
	defer func() { ignore() }()
	for {
		if err := s.openError(); err != nil {
			x.leaveQueue()
			return nil, err
		}
		if x.mayAppend() {
			break
		}
		if ctx.Err() != nil {
			x.leaveQueue()
			return nil, ctx.Err()
		}
		if !x.link.queued {
			ignore = context.AfterFunc(ctx, x.wakeSend)
		}
		x.joinQueue()
		x.sendable.Wait()
	}
	x.leaveQueue()
	if s.hello != nil {
		x.credit = int64(s.hello.GetWindow()) // it may have come while this waited
	}
	s.register(x, s.nextID)
	s.nextID += 2
	x.append(meta, data, end)
	s.wakeWriter()
	return x, nil
}

// wakeSend has Open look at its context.
func (x *Exchange) wakeSend() {
	x.session.mu.Lock()
	defer x.session.mu.Unlock()
	x.sendable.Broadcast()
}

// openError says why no exchange can be opened.
func (s *Session) openError() error {
	most := uint64(beforeHello)
	if s.hello != nil {
		most = s.hello.GetMaxExchanges()
	}
	switch {
	case s.draining:
		return ErrDraining
	case s.err != nil:
		return s.err
	case uint64(len(s.exchanges)) >= most:
		return ErrFull
	default:
		return nil
	}
}

// beforeHello is how many exchanges may be open before the server has said how
// many it takes.
const beforeHello = 100

// Send sends a part, which is the two pieces together. It waits for credit, and
// for its turn; when it returns, the pieces may be used again. end says that the
// part has its end set.
func (x *Exchange) Send(meta, data []byte, end bool) error {
	s := x.session
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := x.awaitTurn(); err != nil {
		return err
	}
	x.append(meta, data, end)
	s.wakeWriter()
	return nil
}

// SendLast is Send for the part that has the end, after which the caller only
// receives, and then calls Close or Finish: it is they that have it sent, so that
// nobody has to be woken for it.
func (x *Exchange) SendLast(meta, data []byte) error {
	s := x.session
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := x.awaitTurn(); err != nil {
		return err
	}
	x.append(meta, data, true)
	s.postponed = true
	return nil
}

// awaitTurn waits until a part may be added to the batch.
func (x *Exchange) awaitTurn() error {
	var stall *time.Timer
	defer func() {
		x.leaveQueue()
		if stall != nil {
			stall.Stop()
		}
	}()
	for {
		if err := x.sendError(); err != nil {
			return err
		}
		if x.mayAppend() {
			return nil
		}
		if patience := x.session.config.Patience; stall == nil && patience > 0 {
			stall = time.AfterFunc(patience, x.expireSend)
		}
		x.joinQueue()
		x.sendable.Wait()
	}
}

// expireSend runs in the goroutine of a timer. One that comes too late finds
// nobody waiting, or somebody who has only begun to: that is as if it had waited.
func (x *Exchange) expireSend() {
	x.session.mu.Lock()
	defer x.session.mu.Unlock()
	x.stalled = true
	x.sendable.Broadcast()
}

func (x *Exchange) sendError() error {
	switch {
	case x.failure() != nil:
		return x.failure()
	case x.stalled:
		return ErrStalled
	case x.sendInt:
		return ErrInterrupted
	case x.halted, x.sendEnd, x.closed:
		return ErrStopped
	case x.session.halfClosed && (x.credit <= 0 || x.session.credit <= 0):
		x.reset(&ResetError{Cause: culvertv1.Cause_CAUSE_CANCELED, Message: "half-closed, and no credit left"})
		return x.err
	default:
		return nil
	}
}

// mayAppend reports whether it is the exchange's turn, and it has credit.
func (x *Exchange) mayAppend() bool {
	s := x.session
	return x.credit > 0 && s.hasRoom() && (s.waiting.first == nil || s.waiting.first == x)
}

// joinQueue puts the exchange at the end of those who wait for room. One without
// credit of its own does not stand in the way of others.
func (x *Exchange) joinQueue() {
	if x.credit <= 0 {
		x.leaveQueue()
		return
	}
	if !x.link.queued {
		x.session.waiting.push(x)
	}
}

func (x *Exchange) leaveQueue() {
	if !x.link.queued {
		return
	}
	s := x.session
	wasFirst := s.waiting.first == x
	s.waiting.remove(x)
	if wasFirst {
		s.wakeSender() // who looks for room when it runs, after x may have taken it
	}
}

func (x *Exchange) append(meta, data []byte, end bool) {
	s := x.session
	cost := partCost(len(meta) + len(data))
	x.credit -= cost
	s.credit -= cost
	s.appendPart(x.id, meta, data)
	if end {
		x.sendEnd = true
		s.config.Resets.Answer()
	}
}
