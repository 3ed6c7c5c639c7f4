package session

import (
	"io"
	"sync"
	"time"

	culvertv1 "github.com/culvert-http/culvert/api/culvert/v1"
)

// ResetError is the end of one exchange before its time.
type ResetError struct {
	// Cause and NotStarted are as in TunnelError.
	Cause      culvertv1.Cause
	NotStarted bool
	// Message is for people.
	Message string
	// Remote says that the other end has reset the exchange.
	Remote bool
}

// Error implements error.
func (e *ResetError) Error() string {
	by := "reset"
	if e.Remote {
		by = "reset by the other end"
	}
	return "exchange " + by + ": " + e.Message
}

// Exchange is one end of an exchange. Receive may run at the same time as Send,
// but neither runs twice at once; the other methods may be called at any time.
// Close must be called.
type Exchange struct {
	session *Session
	id      uint64

	// All that follows is guarded by session.mu.

	arrived sync.Cond
	inbox   [][]byte
	room    [2][]byte // for the first parts of inbox
	taken   []byte    // what Receive has returned
	small   smallPart // holds one of them

	sendable sync.Cond
	link     link // in session.waiting

	credit    int64 // what this end may send
	allowance int64 // what the other end may send
	ungranted int64 // what it has sent and may send again

	held   int64         // what inbox costs
	window int64         // what the other end may send before more is granted
	grown  time.Duration // at which age of the session that was last looked at
	readAt int           // in which span of the session something was read, or first arrived

	told uint64 // which batch has our stop or reset; 0 if none has

	err     error // of the exchange
	onReset Ender

	recvEnd          bool // the other end has ended its direction
	stopped          bool // this end wants no more of it
	waited           bool // for a part, since grown
	due              bool // in session.grants
	sendEnd          bool // this end has ended its direction
	halted           bool // the other end wants no more of it
	stalled          bool // a part has waited for longer than it may
	recvInt, sendInt bool // interrupted
	paused           bool // who receives is to look at something else
	closed           bool
}

func (s *Session) newExchange() *Exchange {
	x := &Exchange{session: s, credit: s.sizes.minWindow, allowance: s.config.Window, window: s.config.Window}
	if s.hello != nil {
		x.credit = int64(s.hello.GetWindow())
	}
	x.arrived.L = &s.mu
	x.sendable.L = &s.mu
	x.inbox = x.room[:0]
	return x
}

func (s *Session) register(x *Exchange, id uint64) {
	x.id = id
	s.exchanges[id] = x
}

// ID returns the number of the exchange.
func (x *Exchange) ID() uint64 { return x.id }

// Ender is told why something ends.
type Ender = interface{ End(err error) }

// OnReset has End called, once, when the exchange or its session fails. It must
// not call the exchange or the session, and must not block.
func (x *Exchange) OnReset(ender Ender) {
	x.session.mu.Lock()
	defer x.session.mu.Unlock()
	x.onReset = ender
	if err := x.failure(); err != nil {
		x.reportFailure(err)
	}
}

func (x *Exchange) reportFailure(err error) {
	if x.onReset != nil {
		x.onReset.End(err)
		x.onReset = nil
	}
}

func (x *Exchange) failure() error {
	if x.err != nil {
		return x.err
	}
	return x.session.err
}

// Receive waits for the next part and returns it. It is valid until the next
// call. After the part that has the end it returns io.EOF; if the other end
// stops before that, io.ErrUnexpectedEOF.
func (x *Exchange) Receive() ([]byte, error) {
	s := x.session
	s.mu.Lock()
	defer s.mu.Unlock()
	x.forget(x.taken)
	x.taken = nil
	for len(x.inbox) == 0 {
		switch {
		case x.recvEnd && !x.stopped && !x.closed: // else some may have been dropped
			return nil, io.EOF
		case x.failure() != nil:
			return nil, x.failure()
		case x.recvInt, x.closed, x.stopped:
			return nil, ErrInterrupted
		case s.halfClosed:
			return nil, io.ErrUnexpectedEOF
		case x.paused:
			x.paused = false
			return nil, ErrPaused
		}
		if s.postponed {
			s.wakeWriter()
		}
		x.waited = true
		x.arrived.Wait()
	}
	if x.recvInt {
		return nil, ErrInterrupted
	}
	x.taken = x.inbox[0]
	x.inbox[0] = nil
	if x.inbox = x.inbox[1:]; len(x.inbox) == 0 {
		x.inbox = x.room[:0]
	}
	cost := partCost(len(x.taken))
	x.release(cost)
	x.consumed(cost)
	return x.taken, nil
}

// Stop says that this end wants no more of what the other one sends. What has
// arrived is dropped.
func (x *Exchange) Stop() {
	s := x.session
	s.mu.Lock()
	defer s.mu.Unlock()
	x.stop()
}

func (x *Exchange) stop() {
	if x.stopped {
		return
	}
	x.stopped = true
	x.drop()
	x.arrived.Broadcast()
	if !x.recvEnd && x.failure() == nil {
		x.told = x.session.batches + 1
		x.session.appendControl(&culvertv1.ServerFrame{Exchange: x.id, Stop: true})
	}
}

// drop forgets what has arrived.
func (x *Exchange) drop() {
	for _, part := range x.inbox {
		x.forget(part)
	}
	x.release(x.held)
	x.inbox = x.room[:0]
	x.room = [2][]byte{}
}

// Reset ends the exchange in both directions, and tells the other end why.
func (x *Exchange) Reset(cause culvertv1.Cause, notStarted bool, message string) {
	s := x.session
	s.mu.Lock()
	defer s.mu.Unlock()
	x.reset(&ResetError{Cause: cause, NotStarted: notStarted, Message: message})
}

func (x *Exchange) reset(err *ResetError) {
	if x.failure() != nil || x.closed {
		return
	}
	x.told = x.session.batches + 1
	x.session.appendReset(x.id, err)
	x.fail(err)
}

func (s *Session) appendReset(id uint64, err *ResetError) {
	s.appendControl(&culvertv1.ServerFrame{Exchange: id, Reset_: &culvertv1.Reset{
		Error:   &culvertv1.TunnelError{Cause: err.Cause, NotStarted: err.NotStarted},
		Message: cutMessage(err.Message),
	}})
}

// fail ends the exchange with an error. What has arrived can still be read, so
// that nothing that was sent before a reset is lost.
func (x *Exchange) fail(err error) {
	if x.err == nil {
		x.err = err
	}
	x.wake()
}

// wake has everybody who waits look again.
func (x *Exchange) wake() {
	x.arrived.Broadcast()
	x.sendable.Broadcast()
	if err := x.failure(); err != nil {
		x.reportFailure(err)
	}
}

// InterruptReceive ends every Receive, now and from now on.
func (x *Exchange) InterruptReceive() {
	x.session.mu.Lock()
	defer x.session.mu.Unlock()
	x.recvInt = true
	x.arrived.Broadcast()
}

// PauseReceive has the Receive that waits return ErrPaused, or else the next one
// that would wait.
func (x *Exchange) PauseReceive() {
	x.session.mu.Lock()
	defer x.session.mu.Unlock()
	x.paused = true
	x.arrived.Broadcast()
}

// InterruptSend ends every Send, now and from now on.
func (x *Exchange) InterruptSend() {
	x.session.mu.Lock()
	defer x.session.mu.Unlock()
	x.sendInt = true
	x.sendable.Broadcast()
}

// Close gives the exchange up. Where a direction has not ended the other end is
// told: by a reset, for which cause says why; but by stop if it is the client's
// that is open, and the server's has ended. On a server Close says that the
// handler has returned.
func (x *Exchange) Close(cause culvertv1.Cause) {
	s := x.session
	s.mu.Lock()
	defer s.mu.Unlock()
	x.close(cause)
	if s.postponed {
		s.wakeWriter()
	}
}

// Finish does what Close does, and sends what the session has to send with send,
// if nobody else does, for a bounded number of messages. It is for a goroutine
// that has nothing else to do. An error of send fails the session.
func (x *Exchange) Finish(cause culvertv1.Cause, send func([]byte) error) {
	s := x.session
	s.mu.Lock()
	defer s.mu.Unlock()
	x.close(cause)
	s.flush(send)
}

func (x *Exchange) close(cause culvertv1.Cause) {
	s := x.session
	if x.closed {
		return
	}
	switch {
	case x.failure() != nil:
	case !x.sendEnd && !x.halted, !x.recvEnd && !s.config.Server:
		x.reset(&ResetError{Cause: cause, Message: "given up"})
	default:
		x.stop()
	}
	x.closed = true
	x.onReset = nil
	x.drop()
	x.shrink()
	x.leaveQueue()
	if x.told > s.batches {
		s.departed++
	}
	delete(s.exchanges, x.id)
	if len(s.exchanges) == 0 {
		s.idle.Broadcast()
		s.wakeWriter()
	}
}
