package session_test

import (
	"errors"
	"io"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"google.golang.org/protobuf/proto"

	culvertv1 "github.com/culvert-http/culvert/api/culvert/v1"
	"github.com/culvert-http/culvert/internal/session"
)

// Section 20.5: a part costs 32 bytes beside its own, so that parts of two bytes
// do not make the receiver keep many times what its window says.
func TestSmallPartsCostWhatTheyTakeToKeep(t *testing.T) {
	p := facingServer(t)
	p.mustSay(opening(t, 1))
	held := 0
	for ; len(p.hears()) == 0; held++ {
		p.mustSay(part(t, 1, &culvertv1.ResponseFrame{Accepted: true}))
	}
	if most := session.MinWindow/(2+32) + 1; held > most {
		t.Errorf("%d parts of two bytes were taken, want at most %d", held, most)
	}
}

// Section 20.6: credit that is not sent yet is given in one frame, and the other
// end may not use it before.
func TestGrantsWaitForTheirBatch(t *testing.T) {
	p := facingServer(t)
	p.mustSay(opening(t, 1))
	x := p.accepted[0]
	read := func() {
		t.Helper()
		if _, err := x.Receive(); err != nil {
			t.Fatal(err)
		}
	}
	read()
	chunk := &culvertv1.ResponseFrame{Data: make([]byte, 64<<10)}
	cost := 0
	for range 4 {
		p.mustSay(part(t, 1, chunk))
		read()
		cost += proto.Size(chunk) + 32
	}
	cost += len(openingPart(t)) + 32
	frames := slices.DeleteFunc(p.hears(), func(frame *culvertv1.ServerFrame) bool { return frame.GetPing() != nil })
	if len(frames) != 1 || frames[0].GetExchange() != 1 || int(frames[0].GetCredit()) != cost {
		t.Fatalf("got %v, want one grant of %d bytes", frames, cost)
	}

	for range 4 {
		p.mustSay(part(t, 1, chunk))
		read()
	}
	p.mustSay(part(t, 1, chunk)) // the credit for it waits, and nobody has read of it
	for _, frame := range p.hears() {
		if frame.GetReset_() != nil {
			return
		}
	}
	t.Error("a part was taken that there was no credit for")
}

// Section 20.10: after the half-close no credit comes any more.
func TestHalfCloseEndsWhatHasNoCredit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		data := session.AppendDataTag(nil, 256<<10)
		data = append(data, make([]byte, 256<<10)...)
		p := facingServer(t)
		p.mustSay(opening(t, 1), opening(t, 3))
		x, y := p.accepted[0], p.accepted[1]
		var sent error
		go func() {
			if sent = x.Send(data, nil, false); sent == nil {
				sent = x.Send(data, nil, false) // there is no credit for it
			}
		}()
		synctest.Wait()
		p.hears()
		p.of.DeliverEnd(io.EOF)
		synctest.Wait()
		var reset *session.ResetError
		if !errors.As(sent, &reset) || reset.Cause != culvertv1.Cause_CAUSE_CANCELED {
			t.Errorf("sent without credit: %v", sent)
		}
		if err := y.Send(data, nil, true); err != nil {
			t.Errorf("not sent though there was credit: %v", err)
		}
		frames := p.hears()
		want := &culvertv1.TunnelError{Cause: culvertv1.Cause_CAUSE_CANCELED}
		if len(frames) != 2 || !proto.Equal(frames[0].GetReset_().GetError(), want) || frames[1].GetExchange() != 3 {
			t.Errorf("%d frames were sent, want a reset and a part", len(frames))
		}
		x.Close(culvertv1.Cause_CAUSE_CANCELED)
		y.Close(culvertv1.Cause_CAUSE_CANCELED)
		if frames := p.hears(); len(frames) != 1 || !frames[0].GetStop() {
			t.Errorf("sent %v, want a stop of the second", frames)
		}
		if _, err := p.of.NextBatch(); !errors.Is(err, io.EOF) {
			t.Errorf("the session goes on: %v", err)
		}
	})
}

// The session's credit can run out after the half-close, too.
func TestHalfCloseEndsWhatHasNoCreditOfTheSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const count = 40 // windows of 256 KiB, in a session of 8 MiB
		data := session.AppendDataTag(nil, 256<<10)
		data = append(data, make([]byte, 256<<10)...)
		p := facingServer(t)
		var failed, sent atomic.Int64
		for n := range count {
			p.mustSay(opening(t, uint64(2*n+1)))
			x := p.accepted[n]
			go func() {
				if x.Send(data, nil, true) == nil {
					sent.Add(1)
				} else {
					failed.Add(1)
				}
				x.Close(culvertv1.Cause_CAUSE_CANCELED)
			}()
		}
		p.of.DeliverEnd(io.EOF)
		for {
			synctest.Wait()
			if batch, err := p.of.TryBatch(); err != nil || len(batch) == 0 {
				break
			}
		}
		if sent.Load() != 32 || failed.Load() != count-32 {
			t.Errorf("%d were sent and %d failed, want 32 and %d", sent.Load(), failed.Load(), count-32)
		}
	})
}
