package session_test

import (
	"bytes"
	"errors"
	"io"

	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	culvertv1 "github.com/culvert-http/culvert/api/culvert/v1"
	"github.com/culvert-http/culvert/internal/session"
)

var errEnd = io.EOF

// referee judges what an end sends by section 20, and knows what it has heard.
type referee struct {
	helloTaken bool
	lastOpened uint64

	heardHello bool
	heardDrain bool
	drainedAt  uint64
	takenCost  int64
}

// cost is what a part costs.
func cost(part []byte) int64 {
	if len(part) == 0 {
		return 0
	}
	return int64(len(part)) + 32
}

func (s *side) hasSent(p modelPart) {
	part := append(bytes.Clone(p.meta), p.data...)
	s.sent = append(s.sent, part)
	s.sentEnd = s.sentEnd || p.end
	s.spent += cost(part)
	s.end.spent += cost(part)
}

// initialCredit is what an end may send of each exchange at first.
func (e *modelEnd) initialCredit() int64 {
	if e.heardHello {
		return e.other.window
	}
	return session.SmallWindow
}

// inspect judges a message that this end sends.
func (e *modelEnd) inspect(t *rapid.T, message []byte) {
	batch := &culvertv1.SessionResponse{}
	if err := proto.Unmarshal(message, batch); err != nil {
		t.Fatalf("the %s sends what is malformed: %v", e.name, err)
	}
	if len(message) > 1024 && len(batch.GetFrames()) > 1 {
		t.Fatalf("a message of the %s has %d bytes", e.name, len(message))
	}
	for _, frame := range batch.GetFrames() {
		if !e.helloTaken {
			if frame.GetHello() == nil || frame.GetExchange() != 0 {
				t.Fatalf("the %s begins with %v", e.name, frame)
			}
			e.helloTaken = true
			continue
		}
		if frame.GetHello() != nil {
			t.Fatalf("the %s says hello again", e.name)
		}
		if frame.GetExchange() == 0 {
			e.grantsTaken += int64(frame.GetCredit())
			continue
		}
		e.inspectFrame(t, frame)
	}
}

func (e *modelEnd) inspectFrame(t *rapid.T, frame *culvertv1.ServerFrame) {
	s := e.sides[frame.GetExchange()]
	if s == nil {
		// A server that refuses has never had it.
		if !e.server || !frame.GetReset_().GetError().GetNotStarted() || frame.GetPart() != nil {
			t.Fatalf("the %s sends %v, of no exchange", e.name, frame)
		}
		return
	}
	if s.resetTaken {
		t.Fatalf("the %s sends %v after a reset", e.name, frame)
	}
	if frame.GetPart() != nil {
		s.inspectPart(t)
	}
	s.grantsTaken += int64(frame.GetCredit())
	s.resetTaken = frame.GetReset_() != nil
}

func (s *side) inspectPart(t *rapid.T) {
	e := s.end
	if s.partsTaken == 0 && !e.server {
		if s.x.ID() <= e.lastOpened {
			t.Fatalf("exchange %d is opened after %d", s.x.ID(), e.lastOpened)
		}
		e.lastOpened = s.x.ID()
	}
	if s.partsTaken >= len(s.sent) {
		t.Fatalf("the %s sends a part of exchange %d that nobody gave it", e.name, s.x.ID())
	}
	if s.endTaken {
		t.Fatalf("the %s sends a part of exchange %d after its end", e.name, s.x.ID())
	}
	earlier := int64(0)
	for _, part := range s.sent[:s.partsTaken] {
		earlier += cost(part)
	}
	if e.initialCredit()+s.grantsHeard-earlier <= 0 {
		t.Fatalf("the %s sends a part of exchange %d without credit", e.name, s.x.ID())
	}
	if session.SmallSessionWindow+e.grantsHeard-e.takenCost <= 0 {
		t.Fatalf("the %s sends a part of exchange %d without credit of the session", e.name, s.x.ID())
	}
	part := s.sent[s.partsTaken]
	e.takenCost += cost(part)
	s.partsTaken++
	s.endTaken = s.sentEnd && s.partsTaken == len(s.sent)
}

// hear notes what was delivered to this end.
func (e *modelEnd) hear(t *rapid.T, message []byte) {
	batch := &culvertv1.SessionResponse{}
	if err := proto.Unmarshal(message, batch); err != nil {
		t.Fatal(err)
	}
	e.heardHello = true
	for _, frame := range batch.GetFrames() {
		if frame.GetExchange() == 0 {
			e.grantsHeard += int64(frame.GetCredit())
			if drain := frame.GetDrain(); drain != nil {
				e.heardDrain = true
				e.drainedAt = drain.GetLastExchange()
			}
			continue
		}
		e.hearFrame(t, frame)
	}
}

func (e *modelEnd) hearFrame(t *rapid.T, frame *culvertv1.ServerFrame) {
	var size int64
	if frame.GetPart() != nil {
		size = int64(proto.Size(frame.GetPart())) + 32 // what is sent is as short as it can be
		e.heard += size
	}
	s := e.sides[frame.GetExchange()]
	if s == nil {
		if !e.server {
			t.Fatalf("the client hears %v, of no exchange", frame)
		}
		return // refused
	}
	if frame.GetPart() != nil {
		s.partsHeard++
		s.heard += size
		s.heardEnd = s.heardEnd || frame.GetPart().GetEnd()
	}
	s.grantsHeard += int64(frame.GetCredit())
	s.heardStop = s.heardStop || frame.GetStop()
	s.heardReset = s.heardReset || frame.GetReset_() != nil
}

// gone reports whether the server has said that it does not start the exchange.
func (s *side) gone() bool { return s.end.heardDrain && s.x.ID() > s.end.drainedAt }

// audit compares an end's ledgers with what the model knows. Together they say
// that credit is conserved: what one end has, what is on the way, what the other
// has not read and what it has not given back are the window of an exchange at all
// times; and that what is kept in a session is bounded.
func (e *modelEnd) audit(t *rapid.T) {
	all, each := e.s.Ledgers()
	const window = session.SmallSessionWindow
	want := session.Ledger{
		Credit:    window + e.grantsHeard - e.spent,
		Allowance: window + e.grantsTaken - e.heard,
	}
	for _, one := range each {
		want.Held += one.Held
	}
	if all != want {
		t.Fatalf("the %s's ledger is %+v, want %+v", e.name, all, want)
	}
	const part = 512
	if all.Allowance > window || all.Held+max(all.Allowance, 0) > session.SmallMaxBytes+part {
		t.Fatalf("the %s may get %d bytes and has %d", e.name, all.Allowance, all.Held)
	}
	for _, s := range e.order {
		if !s.closed {
			s.audit(t, each[s.x.ID()])
		}
	}
	if len(each) != e.open() {
		t.Fatalf("the %s has %d exchanges, want %d", e.name, len(each), e.open())
	}
	if e.server && len(each) > modelMaxExchanges {
		t.Fatalf("the server has %d exchanges", len(each))
	}
	if e.opening > 0 && (e.closed || e.heardDrain) {
		t.Fatalf("%d calls of Open wait, and must not", e.opening)
	}
	waiting, batch := e.s.Waiting()
	if waiting > 0 && batch < 256 && all.Credit > 0 {
		t.Fatalf("%d exchanges of the %s wait though there is room", waiting, e.name)
	}
	if most := 256 + 500 + 100*len(e.order); batch > most {
		t.Fatalf("the %s keeps %d bytes to send", e.name, batch)
	}
}

func (s *side) audit(t *rapid.T, got session.Ledger) {
	e := s.end
	if want := e.initialCredit() + s.grantsHeard - s.spent; got.Credit != want {
		t.Fatalf("exchange %d of the %s has a credit of %d, want %d", s.x.ID(), e.name, got.Credit, want)
	}
	if s.receiving && got.Held > 0 {
		t.Fatalf("exchange %d of the %s has parts, and waits for one", s.x.ID(), e.name)
	}
	over := s.wasReset || s.heardReset || s.gone()
	if s.sending && (over || s.sendInt || s.heardStop) {
		t.Fatalf("exchange %d of the %s waits to send, and must not", s.x.ID(), e.name)
	}
	if s.receiving && (over || s.recvInt || s.stopped) {
		t.Fatalf("exchange %d of the %s waits to receive, and must not", s.x.ID(), e.name)
	}
	if s.sending && got.Credit > 0 {
		if waiting, _ := e.s.Waiting(); waiting == 0 {
			t.Fatalf("exchange %d of the %s has credit, and does not wait for its turn", s.x.ID(), e.name)
		}
	}
	if over || s.stopped || s.heardEnd {
		return
	}
	want := session.Ledger{
		Credit:    got.Credit,
		Allowance: e.window + s.grantsTaken - s.heard,
		Held:      got.Held,
		Window:    got.Window,
	}
	want.Ungranted = want.Window - want.Allowance - want.Held
	if got != want || got.Window < e.window || got.Window > session.SmallMaxWindow {
		t.Fatalf("the ledger of exchange %d of the %s is %+v, want %+v", s.x.ID(), e.name, got, want)
	}
	if got.Window > e.window {
		e.grown++
	}
}

// judgeReceived judges a part: it is the next one that the other end has sent.
func (s *side) judgeReceived(t *rapid.T, part []byte) {
	peer := s.peer()
	if peer == nil || s.received >= len(peer.sent) {
		t.Fatalf("exchange %d of the %s receives what nobody sent", s.x.ID(), s.end.name)
	}
	if want := peer.sent[s.received]; !bytes.Equal(part, want) {
		t.Fatalf("exchange %d of the %s receives %x, want %x", s.x.ID(), s.end.name, part, want)
	}
	if s.stopped || s.closed || s.recvInt {
		t.Fatalf("exchange %d of the %s receives a part that is not wanted", s.x.ID(), s.end.name)
	}
	s.received++
}

func (s *side) judgeReceiveError(t *rapid.T, err error) {
	fair := false
	switch reset, isReset := errors.AsType[*session.ResetError](err); {
	case errors.Is(err, io.EOF):
		fair = !s.stopped && !s.closed && s.heardEnd && s.received == len(s.peer().sent)
		s.gotEOF = true
	case errors.Is(err, session.ErrInterrupted):
		fair = s.recvInt || s.stopped || s.closed
	case isReset && reset.Remote:
		// What came before the reset has been received.
		fair = (s.heardReset || s.gone()) && (s.received == s.partsHeard || s.stopped || s.wasReset)
	case isReset:
		fair = s.wasReset || s.closed
	}
	if !fair {
		t.Fatalf("receive on exchange %d of the %s, after %d parts of %d: %v", s.x.ID(), s.end.name, s.received, s.partsHeard, err)
	}
}

func (s *side) judgeSendError(t *rapid.T, err error) {
	fair := false
	switch reset, isReset := errors.AsType[*session.ResetError](err); {
	case errors.Is(err, session.ErrStopped):
		fair = s.heardStop || s.sentEnd || s.closed
	case errors.Is(err, session.ErrInterrupted):
		fair = s.sendInt
	case isReset && reset.Remote:
		fair = s.heardReset || s.gone()
	case isReset:
		fair = s.wasReset || s.closed
	}
	if !fair {
		t.Fatalf("send on exchange %d of the %s: %v", s.x.ID(), s.end.name, err)
	}
}

// mayReceive reports whether there is more to receive.
func (s *side) mayReceive() bool {
	switch {
	case s.closed, s.recvInt, s.stopped, s.wasReset:
		return false
	case s.heardReset, s.gone():
		return s.received < s.partsHeard
	default:
		return !s.gotEOF
	}
}

// judgeSettled judges an exchange when nothing moves any more.
func (s *side) judgeSettled(t *rapid.T) {
	if s.sending {
		t.Fatalf("exchange %d of the %s still waits to send", s.x.ID(), s.end.name)
	}
	if s.partsTaken != len(s.sent) {
		t.Fatalf("exchange %d of the %s: %d parts of %d were sent", s.x.ID(), s.end.name, s.partsTaken, len(s.sent))
	}
	peer := s.peer()
	if peer != nil && peer.mayReceive() && (peer.received != len(s.sent) || s.sentEnd) {
		t.Fatalf("exchange %d of the %s: %d parts of %d were received", s.x.ID(), s.end.name, peer.received, len(s.sent))
	}
}

// mustEnd judges the end of what an end sends.
func (e *modelEnd) mustEnd(t *rapid.T) {
	if batch, err := e.s.TryBatch(); !errors.Is(err, io.EOF) {
		t.Fatalf("the %s sends %x, %v, where nothing is left", e.name, batch, err)
	}
}
