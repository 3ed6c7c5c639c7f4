package session_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/proto"

	culvertv1 "github.com/culvert-http/culvert/api/culvert/v1"
	"github.com/culvert-http/culvert/internal/session"
)

// sender is the other end of a session, who has credit and keeps to it.
type sender struct {
	*peer
	credit int64
	each   map[uint64]int64
	resets map[uint64]*culvertv1.TunnelError
}

// sendingTo opens n exchanges of a server.
func sendingTo(tb testing.TB, n int, config session.Config) *sender {
	tb.Helper()
	config.Server, config.MaxExchanges = true, n
	p := &sender{
		peer: facing(tb, config), credit: session.SessionWindow,
		each: map[uint64]int64{}, resets: map[uint64]*culvertv1.TunnelError{},
	}
	p.mustSay(hello())
	for i := range n {
		id := uint64(2*i + 1)
		p.each[id] = session.MinWindow
		p.send(opening(tb, id))
	}
	return p
}

// send sends a part, and takes the credit that comes for it.
func (p *sender) send(frame *culvertv1.ServerFrame) {
	p.tb.Helper()
	spent := int64(proto.Size(frame.GetPart())) + 32
	p.credit -= spent
	p.each[frame.GetExchange()] -= spent
	p.mustSay(frame)
	p.listen()
}

func (p *sender) listen() {
	p.tb.Helper()
	for _, frame := range p.hears() {
		if reset := frame.GetReset_(); reset != nil {
			p.resets[frame.GetExchange()] = reset.GetError()
		}
		if frame.GetExchange() == 0 {
			p.credit += int64(frame.GetCredit())
		} else {
			p.each[frame.GetExchange()] += int64(frame.GetCredit())
		}
	}
}

// fill sends as much of an exchange as it has credit for.
func (p *sender) fill(id uint64, chunk *culvertv1.ResponseFrame) {
	p.tb.Helper()
	for p.credit > 0 && p.each[id] > 0 && p.resets[id] == nil {
		p.send(part(p.tb, id, chunk))
	}
}

// received receives what there is of an exchange, and returns how many bytes.
func received(tb testing.TB, x *session.Exchange, parts int) int {
	tb.Helper()
	n := 0
	for range parts {
		data, err := x.Receive()
		if err != nil {
			tb.Fatal(err)
		}
		n += len(data)
	}
	return n
}

// Section 20.5: exchanges that nobody reads fill their windows, and others go on.
func TestExchangesThatAreNotReadDoNotHoldUpOthers(t *testing.T) {
	const unread = 200
	chunk := &culvertv1.ResponseFrame{Data: make([]byte, 64<<10)}
	p := sendingTo(t, unread+1, session.Config{})
	for i := range unread {
		p.fill(uint64(2*i+1), chunk)
		if p.credit <= 0 {
			t.Fatalf("%d exchanges have used up the session's credit", i+1)
		}
	}
	last := p.accepted[unread]
	received(t, last, 1)
	for range 100 << 20 / len(chunk.GetData()) {
		if p.credit <= 0 || p.each[last.ID()] <= 0 {
			t.Fatalf("credit of %d, and of %d for the exchange", p.credit, p.each[last.ID()])
		}
		p.send(part(t, last.ID(), chunk))
		received(t, last, 1)
		p.listen()
	}
	if len(p.resets) != 0 {
		t.Errorf("%d exchanges were reset", len(p.resets))
	}
}

// When a session may keep no more, credit comes back for what is read, in small
// pieces too.
func TestFullSessionGivesCreditForWhatIsRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		chunk := &culvertv1.ResponseFrame{Data: make([]byte, 64<<10)}
		p := sendingTo(t, 64, session.Config{MaxBytes: 15 << 20})
		full := 0
		for ; p.credit > 0 && full < len(p.accepted); full++ {
			p.fill(uint64(2*full+1), chunk)
		}
		if most := 15<<20/session.MinWindow + 1; full > most {
			t.Fatalf("%d exchanges were filled, want %d at most", full, most)
		}
		for i := range full {
			received(t, p.accepted[i], 2)
			if p.listen(); p.credit <= 0 {
				t.Fatalf("no credit when %d parts were read", 2*i+2)
			}
			p.fill(uint64(2*full+1), chunk)
			p.fill(uint64(2*full+3), chunk)
			if p.credit > 0 {
				full++
			}
		}
	})
}

// What was not read for longest is given up when nothing can be sent any more, and
// nothing is as long as that is not so.
func TestFullSessionGivesUpWhatNobodyReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		chunk := &culvertv1.ResponseFrame{Data: make([]byte, 64<<10)}
		p := sendingTo(t, 100, session.Config{MaxBytes: 16 << 20})
		slow := p.accepted[0]
		p.fill(slow.ID(), chunk)
		full := 1
		for ; p.credit > 0 && full < 80; full++ {
			p.fill(uint64(2*full+1), chunk)
		}
		if len(p.resets) != 0 {
			t.Fatalf("%d exchanges were given up at once", len(p.resets))
		}
		// One is read, slowly, and all that comes free is taken at once.
		read := 0
		for range 3 {
			<-time.After(session.ReliefTime - time.Millisecond)
			synctest.Wait()
			received(t, slow, 1)
			read++
			p.listen()
			p.fill(slow.ID(), chunk)
		}
		<-time.After(2 * session.ReliefTime)
		synctest.Wait()
		p.listen()
		if len(p.resets) == 0 || p.credit <= 0 {
			t.Fatalf("%d exchanges were given up, and the credit is %d", len(p.resets), p.credit)
		}
		if len(p.resets) > 3 {
			t.Errorf("%d exchanges were given up", len(p.resets))
		}
		want := &culvertv1.TunnelError{Cause: culvertv1.Cause_CAUSE_TOO_MANY_EXCHANGES}
		for id, err := range p.resets {
			if id == slow.ID() || !proto.Equal(err, want) {
				t.Errorf("exchange %d was reset: %v", id, err)
			}
			_, err := p.accepted[id/2].Receive()
			reset, ok := errors.AsType[*session.ResetError](err)
			if !ok || reset.Cause != want.GetCause() || reset.Remote {
				t.Errorf("exchange %d ended with %v", id, err)
			}
		}
		// Others take its place at once, and then the next that is not read goes.
		before := len(p.resets)
		for id := uint64(2*full + 1); id < uint64(2*full+21); id += 2 {
			p.fill(id, chunk)
			if p.credit <= 0 {
				t.Fatalf("no credit left, after %d resets", len(p.resets))
			}
		}
		if len(p.resets) <= before {
			t.Error("no more were given up")
		}
		if p.resets[slow.ID()] != nil {
			t.Error("the one that is read was given up")
		}
	})
}

// An exchange that was given up is not complete, even if its end had arrived.
func TestGivenUpIsNotComplete(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		chunk := &culvertv1.ResponseFrame{Data: make([]byte, 64<<10)}
		p := sendingTo(t, 100, session.Config{MaxBytes: 16 << 20})
		for id := uint64(1); p.credit > 0 && id < 200; id += 2 {
			for range 3 {
				p.send(part(t, id, chunk))
			}
			p.send(part(t, id, &culvertv1.ResponseFrame{Data: chunk.GetData(), End: true}))
		}
		<-time.After(3 * session.ReliefTime)
		synctest.Wait()
		p.listen()
		if len(p.resets) == 0 {
			t.Fatal("nothing was given up")
		}
		for id := range p.resets {
			if _, err := p.accepted[id/2].Receive(); !isReset(err) {
				t.Errorf("exchange %d ended with %v", id, err)
			}
		}
	})
}

func isReset(err error) bool {
	_, ok := errors.AsType[*session.ResetError](err)
	return ok
}
