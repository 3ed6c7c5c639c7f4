package session

import (
	"google.golang.org/protobuf/encoding/protowire"

	culvertv1 "github.com/culvert-http/culvert/api/culvert/v1"
)

// TryBatch is NextBatch, but returns nothing where that would wait.
func (s *Session) TryBatch() ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mustWait() {
		return nil, nil
	}
	return s.takeBatch()
}

// TakeBatch is NextBatch; whoever it wakes does not run before f has.
func (s *Session) TakeBatch(f func()) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer f()
	return s.takeBatch()
}

// NewSmall returns a session with sizes a thousandth of the protocol's, so that
// credit and room run out within a few steps.
func NewSmall(config Config) *Session {
	config.MaxBytes = SmallMaxBytes
	return newSession(config, sizes{
		minWindow: SmallWindow, maxWindow: SmallMaxWindow, sessionWindow: SmallSessionWindow,
		grant: 64, batch: 256, message: 1024, part: 512,
	})
}

// The windows of NewSmall.
const (
	SmallWindow        = 256
	SmallMaxWindow     = 4 * SmallWindow
	SmallSessionWindow = 1024
	SmallMaxBytes      = 2 * SmallSessionWindow
)

// Ledger is what a session, or an exchange, has written down of credit: what it
// may send, what the other end may send, what that has sent and may send again,
// what of it waits to be received, and the window of an exchange.
type Ledger struct{ Credit, Allowance, Ungranted, Held, Window int64 }

// Ledgers returns the session's ledger and those of its exchanges.
func (s *Session) Ledgers() (Ledger, map[uint64]Ledger) {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := Ledger{Credit: s.credit, Allowance: s.allowance, Held: s.held}
	each := make(map[uint64]Ledger, len(s.exchanges))
	for id, x := range s.exchanges {
		one := Ledger{Credit: x.credit, Allowance: x.allowance, Ungranted: x.ungranted, Window: x.window}
		for _, part := range x.inbox {
			one.Held += partCost(len(part))
		}
		each[id] = one
	}
	return all, each
}

// Waiting returns how many exchanges wait for their turn to send, and the bytes
// that are to be sent.
func (s *Session) Waiting() (exchanges, batch int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for x := s.waiting.first; x != nil; x = x.link.next {
		exchanges++
	}
	return exchanges, len(s.batch)
}

// Frame is a frame as Deliver reads it, with what it does not look into yet.
type Frame struct {
	Exchange, Credit                uint64
	Stop                            bool
	Part, Reset, Hello, Ping, Drain []byte
}

// Frames reads a message as Deliver does.
func Frames(message []byte) ([]Frame, error) {
	var frames []Frame
	err := eachFrame(message, new(frame), func(f *frame) error {
		frames = append(frames, Frame{f.exchange, f.credit, f.stop, f.part, f.reset, f.hello, f.ping, f.drain})
		return nil
	})
	return frames, err
}

// AppendFrame appends a frame to a message as a session writes it.
func AppendFrame(message []byte, f *culvertv1.ServerFrame, part []byte) []byte {
	s := &Session{batch: message}
	s.writer.L = &s.mu
	switch {
	case len(part) > 0:
		s.appendPart(f.GetExchange(), part[:len(part)/2], part[len(part)/2:])
	case f.GetCredit() > 0:
		s.appendCredit(f.GetExchange(), int64(f.GetCredit()))
	default:
		s.appendControl(f)
	}
	return s.batch
}

// EndsPart is endsPart.
func EndsPart(part []byte) (end, ok bool) { return endsPart(part) }

// AppendDataTag appends to a part that lacks its data what comes before the data.
func AppendDataTag(part []byte, size int) []byte {
	if size == 0 {
		return part
	}
	part = protowire.AppendTag(part, dataNumber, protowire.BytesType)
	return protowire.AppendVarint(part, uint64(size))
}
