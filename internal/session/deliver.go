package session

import (
	"context"
	"errors"
	"io"

	"google.golang.org/protobuf/proto"

	culvertv1 "github.com/culvert-http/culvert/api/culvert/v1"
)

// Deliver takes a message that has arrived, which may be used again when it
// returns. An error ends the session.
func (s *Session) Deliver(message []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return s.err
	}
	s.config.Resets.Look()
	if err := eachFrame(message, &s.incoming, s.take); err != nil {
		s.fail(err)
	}
	s.incoming = frame{} // message is the caller's
	return s.err
}

// DeliverEnd says that the other end sends no more: a client has half-closed, or
// the RPC has ended. Bodies that lack their end are truncated.
func (s *Session) DeliverEnd(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !errors.Is(err, io.EOF) {
		s.fail(err)
		return
	}
	s.halfClosed = true
	s.draining = true
	s.closing = true
	for _, x := range s.exchanges {
		x.wake()
	}
	if !s.config.Server {
		s.fail(s.endError())
	}
	s.wakeWriter()
}

// endError is what the end of the RPC means to a client.
func (s *Session) endError() error {
	if len(s.exchanges) == 0 {
		return ErrClosed
	}
	return io.ErrUnexpectedEOF
}

// take takes one frame.
func (s *Session) take(f *frame) error {
	if s.hello == nil || f.hasField(helloNumber) {
		return s.takeHello(f)
	}
	if f.exchange == 0 {
		return s.takeOwn(f)
	}
	if f.hasField(pingNumber) || f.hasField(drainNumber) {
		return violation("a frame of exchange %d is about the session", f.exchange)
	}
	x, err := s.exchangeOf(f)
	if err != nil {
		return err
	}
	if x == nil {
		return s.takeLate(f)
	}
	return x.take(f)
}

func (s *Session) takeHello(f *frame) error {
	hello := &culvertv1.Hello{}
	switch {
	case s.hello != nil:
		return violation("a second hello")
	case f.has&^(1<<exchangeNumber) != 1<<helloNumber || f.exchange != 0:
		return violation("the first frame is not a hello alone")
	case unmarshal(f.hello, hello) != nil:
		return violation("malformed hello")
	case hello.GetVersion() != 1:
		return violation("version %d is not known", hello.GetVersion())
	case hello.GetWindow() < uint64(s.sizes.minWindow) || hello.GetWindow() > maxCredit:
		return violation("a window of %d bytes", hello.GetWindow())
	}
	s.hello = hello
	more := int64(hello.GetWindow()) - s.sizes.minWindow
	for _, x := range s.exchanges {
		x.credit += more
		x.sendable.Signal()
	}
	if s.config.OnHello != nil {
		s.config.OnHello(hello)
	}
	return nil
}

// maxCredit bounds all credit, as RFC 9113 § 6.9.1 bounds windows.
const maxCredit = 1<<31 - 1

// takeOwn takes a frame about the session.
func (s *Session) takeOwn(f *frame) error {
	if f.hasField(partNumber) || f.stop || f.hasField(resetNumber) {
		return violation("a frame of the session has what only exchanges have")
	}
	if f.hasField(creditNumber) {
		if f.credit > maxCredit || s.credit+int64(f.credit) > maxCredit {
			return violation("too much credit")
		}
		s.credit += int64(f.credit)
		s.wakeSender()
	}
	if f.hasField(pingNumber) {
		if err := s.takePing(f.ping); err != nil {
			return err
		}
	}
	if f.hasField(drainNumber) {
		return s.takeDrain(f.drain)
	}
	return nil
}

// unmarshal reads a message that the other end has sent, and forgets what it does
// not know: nobody asks for it, and it is as large as the other end likes.
func unmarshal(data []byte, message proto.Message) error {
	return proto.UnmarshalOptions{DiscardUnknown: true}.Unmarshal(data, message)
}

func (s *Session) takePing(data []byte) error {
	ping := &culvertv1.Ping{}
	if unmarshal(data, ping) != nil {
		return violation("malformed ping")
	}
	if !ping.GetAnswer() {
		return s.answer(answer{ping: ping.GetNumber()})
	}
	if ping.GetNumber() == s.pulse.number {
		s.measured()
		return nil
	}
	if pong := s.pings[ping.GetNumber()]; pong != nil {
		delete(s.pings, ping.GetNumber())
		close(pong)
	}
	return nil
}

// Ping waits for the answer of the other end.
func (s *Session) Ping(ctx context.Context) error {
	s.mu.Lock()
	if s.err != nil {
		defer s.mu.Unlock()
		return s.err
	}
	s.nextPing++
	number, pong := s.nextPing, make(chan struct{})
	if s.pings == nil {
		s.pings = make(map[uint64]chan struct{})
	}
	s.pings[number] = pong
	s.appendControl(&culvertv1.ServerFrame{Ping: &culvertv1.Ping{Number: number}})
	s.mu.Unlock()
	select {
	case <-pong:
		return s.Err()
	case <-ctx.Done():
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.pings, number)
		return ctx.Err()
	}
}

// takeDrain has a client open no more exchanges, and fails those that the server
// has not started.
func (s *Session) takeDrain(data []byte) error {
	drain := &culvertv1.Drain{}
	switch {
	case s.config.Server:
		return violation("a drain from the client")
	case unmarshal(data, drain) != nil:
		return violation("malformed drain")
	}
	if s.config.OnDrain != nil && !s.draining {
		s.config.OnDrain()
	}
	s.draining = true
	s.closing = true
	for id, x := range s.exchanges {
		if id > drain.GetLastExchange() {
			x.fail(notStarted(culvertv1.Cause_CAUSE_DRAINING, true))
		}
	}
	s.wakeWaiting()
	s.wakeWriter()
	return nil
}

func notStarted(cause culvertv1.Cause, remote bool) *ResetError {
	return &ResetError{Cause: cause, NotStarted: true, Message: "not started", Remote: remote}
}

// exchangeOf returns the exchange that a frame is about, opened if it is new. It
// returns nil for one that is closed.
func (s *Session) exchangeOf(f *frame) (*Exchange, error) {
	if x := s.exchanges[f.exchange]; x != nil {
		return x, nil
	}
	if !s.config.Server {
		if f.exchange >= s.nextID || f.exchange%2 == 0 {
			return nil, violation("a frame of exchange %d, which was never opened", f.exchange)
		}
		return nil, nil //nolint:nilnil // a late frame has no exchange and is no error
	}
	switch {
	case f.exchange%2 == 0:
		return nil, violation("exchange %d has a number of the server's", f.exchange)
	case f.exchange <= s.lastID:
		return nil, nil //nolint:nilnil // as above
	case !f.hasField(partNumber):
		return nil, violation("a frame of exchange %d, which was never opened", f.exchange)
	}
	return s.accept(f.exchange)
}

// accept opens an exchange that the client has opened; it returns nil if it
// refuses it.
func (s *Session) accept(id uint64) (*Exchange, error) {
	s.lastID = id
	switch {
	case s.draining:
		return nil, s.answer(answer{exchange: id, refusal: culvertv1.Cause_CAUSE_DRAINING})
	case len(s.exchanges)+s.departed >= s.config.MaxExchanges:
		s.config.Resets.Fail()
		return nil, s.answer(answer{exchange: id, refusal: culvertv1.Cause_CAUSE_TOO_MANY_EXCHANGES})
	}
	s.config.Resets.Begin(id)
	x := s.newExchange()
	s.register(x, id)
	s.config.Accept(x)
	return x, nil
}

// takeLate takes a frame of an exchange that is closed: what the other end has
// spent of the session's credit comes back.
func (s *Session) takeLate(f *frame) error {
	cost := partCost(len(f.part))
	if err := s.spend(cost); err != nil {
		return err
	}
	s.returned()
	return s.err
}

// spend takes from what the other end may send.
func (s *Session) spend(cost int64) error {
	if cost > 0 && s.allowance <= 0 {
		return violation("more than the session's credit")
	}
	s.allowance -= cost
	return nil
}

// take takes a frame of an exchange that is open.
func (x *Exchange) take(f *frame) error {
	if len(f.part) > 0 {
		if err := x.takePart(f.part); err != nil {
			return err
		}
	}
	if f.hasField(creditNumber) {
		if f.credit > maxCredit || x.credit+int64(f.credit) > maxCredit {
			return violation("too much credit for exchange %d", x.id)
		}
		x.credit += int64(f.credit)
		x.sendable.Signal()
	}
	if f.stop {
		x.halted = true
		x.sendable.Broadcast()
	}
	if f.hasField(resetNumber) {
		return x.takeReset(f.reset)
	}
	return x.session.err
}

func (x *Exchange) takePart(part []byte) error {
	s := x.session
	cost := partCost(len(part))
	if err := s.spend(cost); err != nil {
		return err
	}
	if x.stopped || x.failure() != nil {
		s.returned() // it crossed with our stop or reset
		return s.err
	}
	end, ok := endsPart(part)
	switch {
	case !ok:
		return x.breach(s.malformed(), "malformed part")
	case x.recvEnd:
		return x.breach(s.malformed(), "a message after the end")
	case x.allowance <= 0:
		return x.breach(s.malformed(), "more than the exchange's credit")
	case len(part) > s.sizes.part+s.config.MaxHeadBytes*2:
		return x.breach(s.tooLarge(part), "a part that is too large")
	}
	x.allowance -= cost
	x.recvEnd = end
	x.inbox = append(x.inbox, x.keep(part))
	x.arrived.Signal()
	x.hold(cost)
	return s.err
}

// breach ends the exchange for what the other end did against the rules.
func (x *Exchange) breach(cause culvertv1.Cause, what string) error {
	s := x.session
	s.returned()
	x.recvEnd = false // it is not the end that counts now
	x.reset(&ResetError{Cause: cause, Message: what})
	x.drop()
	return s.err
}

// malformed is the cause of what the other end may not send.
func (s *Session) malformed() culvertv1.Cause {
	if s.config.Server {
		return culvertv1.Cause_CAUSE_MALFORMED_REQUEST
	}
	return culvertv1.Cause_CAUSE_MALFORMED_RESPONSE
}

// tooLarge is the cause of a part that has more bytes than it may have. It is the
// head, or the trailers, if it is not the data.
func (s *Session) tooLarge(part []byte) culvertv1.Cause {
	switch {
	case !s.config.Server:
		return culvertv1.Cause_CAUSE_RESPONSE_TOO_LARGE
	case dataOfPart(part) > maxPartData:
		return culvertv1.Cause_CAUSE_REQUEST_BODY_TOO_LARGE
	default:
		return culvertv1.Cause_CAUSE_REQUEST_HEAD_TOO_LARGE
	}
}

func (x *Exchange) takeReset(data []byte) error {
	reset := &culvertv1.Reset{}
	if unmarshal(data, reset) != nil {
		return violation("malformed reset")
	}
	if !x.sendEnd && x.err == nil {
		x.session.config.Resets.TakeBack(x.id)
	}
	x.fail(&ResetError{
		Cause:      reset.GetError().GetCause(),
		NotStarted: reset.GetError().GetNotStarted(),
		Message:    cutMessage(reset.GetMessage()),
		Remote:     true,
	})
	return nil
}
