package session_test

import (
	"errors"
	"runtime"
	"testing"
	"testing/synctest"

	"google.golang.org/protobuf/proto"

	culvertv1 "github.com/culvert-http/culvert/api/culvert/v1"
	"github.com/culvert-http/culvert/internal/session"
)

// The peers of this file break no rule, or only the last one, and cost as much as
// they can.

// heap returns how many bytes are in use.
func heap() int64 {
	var stats runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc)
}

// wantViolation checks for the error that ends a session.
func wantViolation(tb testing.TB, err error, want string) {
	tb.Helper()
	if _, ok := errors.AsType[*session.ViolationError](err); !ok || err.Error() != "session: "+want {
		tb.Errorf("got %v, want the violation %q", err, want)
	}
}

// 10,000 exchanges, each of which may fill its window, hold what the session may
// keep, whatever the size of the parts.
func TestFullWindowsHoldWhatASessionMayKeep(t *testing.T) {
	const exchanges, most = 10_000, 12 << 20
	for name, size := range map[string]int{"2 bytes": 0, "100 bytes": 100, "1100 bytes": 1100, "17 KiB": 17 << 10, "64 KiB": 64 << 10, "256 KiB": 256 << 10} {
		t.Run(name, func(t *testing.T) {
			p := facing(t, session.Config{Server: true, MaxExchanges: exchanges, Window: 1 << 20, MaxBytes: most})
			p.mustSay(hello())
			for n := range uint64(exchanges) {
				p.mustSay(opening(t, 2*n+1))
			}
			frame := part(t, 0, &culvertv1.ResponseFrame{Data: make([]byte, size), Accepted: size == 0})
			partSize := int64(proto.Size(frame.GetPart()))
			before := heap()
			var err error
			for n := uint64(0); err == nil; n++ {
				if int64(n)*(partSize+32) > 2*most {
					t.Fatal("there is no bound")
				}
				frame.Exchange = 2*(n%exchanges) + 1
				if err = p.say(frame); err == nil && (n%64 == 0 || size > 100) {
					p.hears() // of the credit that it gets
				}
			}
			wantViolation(t, err, "more than the session's credit")
			all, _ := p.of.Ledgers()
			if all.Held > most+partSize+32 || all.Held < most-most/4 {
				t.Errorf("%d bytes are held", all.Held)
			}
			if used := heap() - before; used > 2*most {
				t.Errorf("%d bytes of memory are in use", used)
			}
			runtime.KeepAlive(p)
		})
	}
}

// Exchanges that are opened and reset at once keep their places while their
// handlers run; those beyond are refused.
func TestResetsInBursts(t *testing.T) {
	const bursts = 100_000
	p := facing(t, session.Config{Server: true, MaxExchanges: 10})
	p.mustSay(hello())
	before := heap()
	for n := range uint64(bursts) {
		id := 2*n + 1
		p.mustSay(opening(t, id), &culvertv1.ServerFrame{Exchange: id, Reset_: &culvertv1.Reset{}})
		for _, frame := range p.hears() {
			if refused := frame.GetReset_().GetError().GetNotStarted(); refused != (id > 20) && frame.GetCredit() == 0 {
				t.Fatalf("exchange %d: %v", id, frame)
			}
		}
	}
	if n, _, _ := p.of.Load(); len(p.accepted) != 10 || n != 10 {
		t.Errorf("%d exchanges were accepted, %d are open, want 10", len(p.accepted), n)
	}
	if used := heap() - before; used > 1<<20 {
		t.Errorf("%d bytes of memory are in use", used)
	}
	for _, x := range p.accepted {
		x.Close(culvertv1.Cause_CAUSE_CANCELED)
	}
	p.mustSay(opening(t, 2*bursts+1))
	if len(p.accepted) != 11 {
		t.Error("there is no place for an exchange when the handlers have returned")
	}
}

// What comes late is dropped, and pays for itself only as long as somebody reads
// that it was paid back.
func TestLateParts(t *testing.T) {
	chunk := &culvertv1.ResponseFrame{Data: make([]byte, 200<<10)}
	opened := func() *peer {
		p := facingServer(t)
		p.mustSay(opening(t, 1))
		p.accepted[0].Close(culvertv1.Cause_CAUSE_CANCELED)
		return p
	}

	p := opened()
	for range 500 { // 100 MiB
		p.mustSay(part(t, 1, chunk))
		p.hears()
	}

	p = opened()
	var err error
	n := 0
	for ; err == nil; n++ {
		err = p.say(part(t, 1, chunk))
	}
	wantViolation(t, err, "more than the session's credit")
	if want := session.SessionWindow/(200<<10) + 2; n != want {
		t.Errorf("%d parts were taken from who does not read, want %d", n, want)
	}
}

// A peer that gives credit byte by byte is sent parts, not bytes.
func TestCreditByteByByte(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := facingClient(t)
		p.open(1)
		x := p.opened[0]
		data := session.AppendDataTag(nil, 100<<10)
		data = append(data, make([]byte, 100<<10)...)
		sent := 0
		go func() {
			for x.Send(data, nil, false) == nil {
				sent++
			}
		}()
		messages := 0
		for range 1000 {
			p.mustSay(&culvertv1.ServerFrame{Exchange: 1, Credit: 1})
			synctest.Wait()
			if len(p.hears()) > 0 {
				messages++
			}
		}
		x.InterruptSend()
		synctest.Wait()
		if sent != 3 || messages > 3 {
			t.Errorf("%d parts were sent in %d messages, want the 3 that the window takes", sent, messages)
		}
	})
}

// Frames that say nothing are not kept.
func TestEmptyFramesInMasses(t *testing.T) {
	p := facingServer(t)
	p.mustSay(opening(t, 1))
	var message []byte
	for range 100_000 {
		message = append(message, raw(0x18, 0x00)...)             // credit of nothing
		message = append(message, raw(0x08, 0x01)...)             // an exchange, and nothing of it
		message = append(message, raw(0x08, 0x01, 0x12, 0)...)    // an empty part
		message = append(message, raw(0x3a, 0x02, 0x10, 0x01)...) // an answer to no ping
	}
	if err := p.of.Deliver(message); err != nil {
		t.Fatal(err)
	}
	if frames := p.hears(); len(frames) != 0 {
		t.Errorf("it was answered by %d frames", len(frames))
	}
	if all, _ := p.of.Ledgers(); all.Held > 100 {
		t.Errorf("%d bytes are held", all.Held)
	}
}
