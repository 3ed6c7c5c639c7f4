package session_test

import (
	"context"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	culvertv1 "github.com/culvert-http/culvert/api/culvert/v1"
	"github.com/culvert-http/culvert/internal/session"
)

// Section 20.9: what the server has not started is told apart from what it has.
func TestDrainTellsWhatWasNotStarted(t *testing.T) {
	p := facingClient(t)
	p.open(3)
	p.mustSay(&culvertv1.ServerFrame{Drain: &culvertv1.Drain{LastExchange: 3}})
	reset, ok := errors.AsType[*session.ResetError](receiveError(p.opened[2]))
	if !ok || !reset.NotStarted || !reset.Remote || reset.Cause != culvertv1.Cause_CAUSE_DRAINING {
		t.Errorf("exchange 5: %v, want that it was not started", reset)
	}
	if _, err := p.of.Open(t.Context(), openingPart(t), nil, true); !errors.Is(err, session.ErrDraining) {
		t.Errorf("open: %v", err)
	}
	p.mustSay(part(t, 3, &culvertv1.ResponseFrame{Head: &culvertv1.ResponseHead{Status: 200}, End: true}))
	if _, err := p.opened[1].Receive(); err != nil {
		t.Errorf("exchange 3: %v", err)
	}
	for _, x := range p.opened {
		x.Close(culvertv1.Cause_CAUSE_CANCELED)
	}
	p.hears()
	if _, err := p.of.NextBatch(); !errors.Is(err, io.EOF) {
		t.Errorf("the client goes on: %v", err)
	}
}

func receiveError(x *session.Exchange) error {
	for {
		if _, err := x.Receive(); err != nil {
			return err
		}
	}
}

func TestDrainedServerRefusesAndEnds(t *testing.T) {
	p := facingServer(t)
	p.mustSay(opening(t, 1), opening(t, 3))
	p.of.Drain()
	p.of.Drain() // says it once
	p.mustSay(opening(t, 5))
	frames := p.hears()
	if len(frames) != 2 || frames[0].GetDrain().GetLastExchange() != 3 || frames[1].GetExchange() != 5 ||
		frames[1].GetReset_().GetError().GetCause() != culvertv1.Cause_CAUSE_DRAINING {
		t.Errorf("it sent %v, want a drain and a reset", frames)
	}
	for _, x := range p.accepted {
		if err := x.Send([]byte{0x18, 0x01}, nil, true); err != nil {
			t.Errorf("send: %v", err)
		}
		x.Close(culvertv1.Cause_CAUSE_CANCELED)
	}
	if frames := p.hears(); len(frames) != 4 {
		t.Errorf("it sent %v, want two ends and two stops", frames)
	}
	if _, err := p.of.NextBatch(); !errors.Is(err, io.EOF) {
		t.Errorf("the server goes on: %v", err)
	}
}

// Section 20.10: an RPC that ends, with OK too, truncates what lacks its end, and
// nothing else.
func TestEndOfTheRPC(t *testing.T) {
	broken := errors.New("broken")
	for name, row := range map[string]struct{ with, want error }{
		"with OK":       {io.EOF, io.ErrUnexpectedEOF},
		"with an error": {broken, broken},
	} {
		t.Run(name, func(t *testing.T) {
			p := facingClient(t)
			p.open(2)
			p.mustSay(
				part(t, 1, &culvertv1.ResponseFrame{Head: &culvertv1.ResponseHead{Status: 200}, End: true}),
				part(t, 3, &culvertv1.ResponseFrame{Head: &culvertv1.ResponseHead{Status: 200}}),
			)
			p.of.DeliverEnd(row.with)
			if err := receiveError(p.opened[0]); !errors.Is(err, io.EOF) {
				t.Errorf("the complete one: %v", err)
			}
			if err := receiveError(p.opened[1]); !errors.Is(err, row.want) {
				t.Errorf("the other one: %v, want %v", err, row.want)
			}
			if err := p.opened[1].Send([]byte{0x18, 0x01}, nil, true); !errors.Is(err, row.want) {
				t.Errorf("send: %v, want %v", err, row.want)
			}
		})
	}
}

func TestHalfCloseTruncatesRequests(t *testing.T) {
	p := facingServer(t)
	p.mustSay(opening(t, 1), part(t, 3, &culvertv1.ResponseFrame{End: true}))
	p.of.DeliverEnd(io.EOF)
	if err := receiveError(p.accepted[0]); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("the one without its end: %v", err)
	}
	if err := receiveError(p.accepted[1]); !errors.Is(err, io.EOF) {
		t.Errorf("the one with its end: %v", err)
	}
}

// enderFunc is a function as an Ender.
type enderFunc func(error)

func (f enderFunc) End(err error) { f(err) }

func TestOnResetIsCalledOnce(t *testing.T) {
	for name, end := range map[string]func(*peer){
		"reset": func(p *peer) {
			p.mustSay(&culvertv1.ServerFrame{Exchange: 1, Reset_: &culvertv1.Reset{}})
		},
		"violation": func(p *peer) { _ = p.say(hello()) },
		"RPC":       func(p *peer) { p.of.DeliverEnd(io.ErrUnexpectedEOF) },
		"fail":      func(p *peer) { p.of.Fail(session.ErrClosed) },
		"breach": func(p *peer) {
			end := part(p.tb, 1, &culvertv1.ResponseFrame{End: true})
			p.mustSay(end, end)
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := facingServer(t)
			p.mustSay(opening(t, 1))
			calls := 0
			p.accepted[0].OnReset(enderFunc(func(err error) {
				if err == nil {
					t.Error("called without an error")
				}
				calls++
			}))
			end(p)
			p.of.Fail(io.ErrClosedPipe)
			if calls != 1 {
				t.Errorf("called %d times", calls)
			}
			late := 0
			p.accepted[0].OnReset(enderFunc(func(error) { late++ }))
			if late != 1 {
				t.Errorf("called %d times for what had happened before", late)
			}
		})
	}
}

// Section 20.4: parts that came before a reset are received before its error.
func TestResetComesAfterWhatWasSentBefore(t *testing.T) {
	p := facingClient(t)
	p.open(1)
	p.mustSay(
		opening(t, 1), opening(t, 1),
		&culvertv1.ServerFrame{Exchange: 1, Reset_: &culvertv1.Reset{Error: &culvertv1.TunnelError{Cause: culvertv1.Cause_CAUSE_HANDLER_FAILED}}},
		opening(t, 1), // against the rules, and too late to matter
	)
	for range 2 {
		if _, err := p.opened[0].Receive(); err != nil {
			t.Fatal(err)
		}
	}
	_, err := p.opened[0].Receive()
	reset, ok := errors.AsType[*session.ResetError](err)
	if !ok || reset.Cause != culvertv1.Cause_CAUSE_HANDLER_FAILED || !reset.Remote {
		t.Errorf("got %v", err)
	}
}

// Section 20.7.
func TestPing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := facingClient(t)
		start := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
		defer cancel()
		if err := p.of.Ping(ctx); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != 15*time.Second {
			t.Errorf("a ping without answer: %v, after %v", err, time.Since(start))
		}
		frames := p.hears()
		if len(frames) != 1 || frames[0].GetPing() == nil {
			t.Fatalf("it sent %v", frames)
		}
		answered := make(chan error)
		ping := func() { answered <- p.of.Ping(t.Context()) }
		go ping()
		synctest.Wait()
		number := p.hears()[0].GetPing().GetNumber()
		if number == frames[0].GetPing().GetNumber() {
			t.Error("a number was used again")
		}
		p.mustSay(&culvertv1.ServerFrame{Ping: &culvertv1.Ping{Number: number - 1, Answer: true}}) // late
		synctest.Wait()
		select {
		case err := <-answered:
			t.Errorf("another ping's answer was taken: %v", err)
		default:
		}
		p.mustSay(&culvertv1.ServerFrame{Ping: &culvertv1.Ping{Number: number, Answer: true}})
		if err := <-answered; err != nil {
			t.Errorf("a ping with an answer: %v", err)
		}
		go ping()
		synctest.Wait()
		p.of.Fail(session.ErrClosed)
		if err := <-answered; !errors.Is(err, session.ErrClosed) {
			t.Errorf("a ping on a session that fails: %v", err)
		}
		if err := p.of.Ping(t.Context()); !errors.Is(err, session.ErrClosed) {
			t.Errorf("a ping on a session that has failed: %v", err)
		}
	})
}

// Section 20.4: what an end tells the other when it gives an exchange up.
func TestCloseTellsTheOtherEnd(t *testing.T) {
	const reset, stop, nothing = "reset", "stop", "nothing"
	for name, row := range map[string]struct {
		client              bool
		sendEnd, receiveEnd bool
		want                string
	}{
		"client, both open":       {client: true, want: reset},
		"client, response open":   {client: true, sendEnd: true, want: reset},
		"client, request open":    {client: true, receiveEnd: true, want: reset},
		"client, both ended":      {client: true, sendEnd: true, receiveEnd: true, want: nothing},
		"server, both open":       {want: reset},
		"server, response open":   {receiveEnd: true, want: reset},
		"server, request open":    {sendEnd: true, want: stop},
		"server, both have ended": {sendEnd: true, receiveEnd: true, want: nothing},
	} {
		t.Run(name, func(t *testing.T) {
			p := facing(t, session.Config{Server: !row.client})
			p.mustSay(hello())
			if row.client {
				p.open(1)
			} else {
				p.mustSay(opening(t, 1))
			}
			x := append(p.accepted, p.opened...)[0]
			if row.sendEnd {
				if err := x.Send([]byte{0x18, 0x01}, nil, true); err != nil {
					t.Fatal(err)
				}
			}
			if row.receiveEnd {
				p.mustSay(part(t, 1, &culvertv1.ResponseFrame{End: true}))
			}
			p.hears()
			x.Close(culvertv1.Cause_CAUSE_HANDLER_FAILED)
			x.Close(culvertv1.Cause_CAUSE_HANDLER_FAILED)
			got := nothing
			for _, frame := range p.hears() {
				switch {
				case frame.GetReset_().GetError().GetCause() == culvertv1.Cause_CAUSE_HANDLER_FAILED:
					got = reset
				case frame.GetStop():
					got = stop
				}
			}
			if got != row.want {
				t.Errorf("it sent %s, want %s", got, row.want)
			}
			if err := receiveError(x); errors.Is(err, io.EOF) && row.receiveEnd {
				t.Error("what was dropped looks complete")
			}
			if err := x.Send([]byte{0x18, 0x01}, nil, true); err == nil {
				t.Error("a part can be sent on what is closed")
			}
		})
	}
}
