package session_test

import (
	"errors"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	culvertv1 "github.com/culvert-http/culvert/api/culvert/v1"
	"github.com/culvert-http/culvert/internal/session"
)

// Section 20.1: however much there is to say at once, no message is too long, and
// nothing is lost.
func TestMessagesAreBounded(t *testing.T) {
	const count = 3000
	p := facingClient(t)
	for len(p.opened) < count {
		p.open(100)
		p.hears()
	}
	text := strings.Repeat("x", 1000)
	for _, x := range p.opened {
		x.Reset(culvertv1.Cause_CAUSE_CANCELED, false, text)
		x.Close(culvertv1.Cause_CAUSE_CANCELED)
	}
	next := uint64(1)
	for {
		batch, err := p.of.TryBatch()
		if err != nil {
			t.Fatal(err)
		}
		if len(batch) == 0 {
			break
		}
		if len(batch) > 1<<20 {
			t.Errorf("a message has %d bytes", len(batch))
		}
		message := &culvertv1.SessionResponse{}
		if err := proto.Unmarshal(batch, message); err != nil {
			t.Fatal(err)
		}
		for _, frame := range message.GetFrames() {
			if frame.GetExchange() != next || frame.GetReset_().GetMessage() != text {
				t.Fatalf("got %v, want a reset of exchange %d", frame, next)
			}
			next += 2
		}
	}
	if next != 2*count+1 {
		t.Errorf("%d of %d resets were sent", next/2, count)
	}
}

// Section 20.8: who asks and does not read ends the session.
func TestAnswersThatNobodyReadsEndTheSession(t *testing.T) {
	const mostExchanges = 10
	for name, ask := range map[string]func(n int) *culvertv1.ServerFrame{
		"pings": func(n int) *culvertv1.ServerFrame {
			return &culvertv1.ServerFrame{Ping: &culvertv1.Ping{Number: uint64(n)}}
		},
		"refusals": func(n int) *culvertv1.ServerFrame { return opening(t, uint64(2*n+1)) },
	} {
		t.Run(name, func(t *testing.T) {
			p := facing(t, session.Config{Server: true, MaxExchanges: mostExchanges})
			p.mustSay(hello())
			for n := range mostExchanges {
				p.mustSay(opening(t, uint64(2*n+1)))
			}
			n := mostExchanges
			for range 1024 + mostExchanges {
				p.mustSay(ask(n))
				n++
			}
			var breach *session.ViolationError
			if err := p.say(ask(n)); !errors.As(err, &breach) || err.Error() != "session: 1034 answers are waiting to be read" {
				t.Errorf("one more: %v", err)
			}
		})
	}
}

func TestAnswersThatAreReadDoNotEndTheSession(t *testing.T) {
	p := facingServer(t)
	for n := range uint64(3000) {
		p.mustSay(&culvertv1.ServerFrame{Ping: &culvertv1.Ping{Number: n}})
		if frames := p.hears(); len(frames) != 1 || frames[0].GetPing().GetNumber() != n || !frames[0].GetPing().GetAnswer() {
			t.Fatalf("ping %d was answered by %v", n, frames)
		}
	}
}

// Section 20.8: an exchange has its place until what is to be said of it is sent,
// so that a client that does not read cannot have the server say more and more.
func TestExchangeKeepsItsPlaceUntilItsResetIsSent(t *testing.T) {
	p := facing(t, session.Config{Server: true, MaxExchanges: 2})
	p.mustSay(hello(), opening(t, 1), opening(t, 3))
	for _, x := range p.accepted {
		x.Close(culvertv1.Cause_CAUSE_HANDLER_FAILED)
	}
	p.mustSay(opening(t, 5))
	if len(p.accepted) != 2 {
		t.Fatal("an exchange was accepted before the resets of others were sent")
	}
	frames := p.hears()
	if len(frames) != 3 || frames[2].GetReset_().GetError().GetCause() != culvertv1.Cause_CAUSE_TOO_MANY_EXCHANGES ||
		!frames[2].GetReset_().GetError().GetNotStarted() {
		t.Fatalf("it sent %v", frames)
	}
	p.mustSay(opening(t, 7), opening(t, 9))
	if len(p.accepted) != 4 {
		t.Errorf("%d exchanges were accepted, want 4", len(p.accepted))
	}

	// One whose reset is sent has only its handler to wait for.
	p.accepted[2].Reset(culvertv1.Cause_CAUSE_HANDLER_FAILED, false, "")
	p.hears()
	p.mustSay(opening(t, 11))
	if len(p.accepted) != 4 {
		t.Error("an exchange was accepted in the place of one whose handler runs")
	}
	p.accepted[2].Close(culvertv1.Cause_CAUSE_HANDLER_FAILED)
	p.mustSay(opening(t, 13))
	if len(p.accepted) != 5 {
		t.Error("an exchange that is over keeps its place")
	}
}
