package session_test

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	culvertv1 "github.com/culvert-http/culvert/api/culvert/v1"
	"github.com/culvert-http/culvert/internal/session"
)

// Any interleaving of two correct peers delivers every byte in order and once,
// never deadlocks, and keeps the rules of section 20 on the wire. The calls that
// wait are the real ones, each in a goroutine of a synctest bubble: between two
// steps all of them either are done or wait.
func TestModel(t *testing.T) {
	setDefault(t, "rapid.checks", modelRuns)
	setDefault(t, "rapid.steps", "80")
	synctest.Test(t, func(t *testing.T) {
		rapid.Check(bubble{t}, func(rt *rapid.T) {
			w := newWorld(t, rt)
			defer w.abort()
			disturb := rapid.SampledFrom([]func(*rapid.T){
				w.stop, w.reset, w.close, w.interruptSend, w.interruptReceive, w.drain, w.closeSession,
			})
			rt.Repeat(map[string]func(*rapid.T){
				"":              w.check,
				"open":          w.open,
				"send":          w.send,
				"send again":    w.send,
				"receive":       w.receive,
				"receive again": w.receive,
				"carry":         w.carry,
				"carry again":   w.carry,
				"take":          w.take,
				"deliver":       w.deliver,
				"ping":          w.ping,
				"wait":          func(*rapid.T) { <-time.After(time.Millisecond) }, // a round trip takes time
				"disturb": func(rt *rapid.T) {
					if rapid.IntRange(0, 3).Draw(rt, "rarely") == 3 {
						disturb.Draw(rt, "disturb")(rt)
					}
				},
			})
			w.settle(rt)
			w.finish(rt)
		})
	})
}

// bubble is a test in a bubble, which has no deadline that rapid could ask for.
type bubble struct{ testing.TB }

// setDefault sets a flag of rapid's, unless whoever runs the test has done so.
func setDefault(tb testing.TB, name, value string) {
	tb.Helper()
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == name })
	if given || testing.Short() {
		return
	}
	if err := flag.Set(name, value); err != nil {
		tb.Fatal(err)
	}
}

// world is two ends and what is on the way between them.
type world struct {
	test testing.TB
	ends [2]*modelEnd // the client and the server
	next byte         // what the next part has as its data
}

func newWorld(test testing.TB, t *rapid.T) *world {
	test.Helper()
	w := &world{test: test}
	window := rapid.SampledFrom([]int64{session.SmallWindow, 2 * session.SmallWindow})
	client := &modelEnd{name: "client", window: window.Draw(t, "client's window"), sides: map[uint64]*side{}}
	server := &modelEnd{name: "server", window: window.Draw(t, "server's window"), sides: map[uint64]*side{}, server: true}
	client.other, server.other = server, client
	client.s = session.NewSmall(session.Config{Window: client.window})
	server.s = session.NewSmall(session.Config{
		Server: true, Window: server.window, MaxExchanges: modelMaxExchanges,
		Accept: func(x *session.Exchange) { server.add(x) },
	})
	w.ends = [2]*modelEnd{client, server}
	return w
}

const modelMaxExchanges = 4

// modelEnd is one end of a session, and what the model knows of it.
type modelEnd struct {
	name   string
	s      *session.Session
	other  *modelEnd
	server bool
	window int64

	wire  [][]byte // taken from this end, not yet delivered to the other
	sides map[uint64]*side
	order []*side
	calls []*calls // that are not done

	opening int  // how many calls of Open wait
	grown   int  // how often a window was seen that has grown
	closed  bool // by ourselves
	account
	referee
}

// account is what the model knows of credit, of a session or an exchange.
type account struct {
	spent                    int64 // by what was sent
	heard                    int64 // the cost of the parts that were delivered to us
	grantsTaken, grantsHeard int64
}

// side is one end of an exchange.
type side struct {
	end *modelEnd
	x   *session.Exchange
	account

	sent       [][]byte
	sentEnd    bool
	partsTaken int // of sent, into batches
	endTaken   bool
	resetTaken bool

	partsHeard int
	received   int
	heardEnd   bool
	gotEOF     bool
	heardStop  bool
	heardReset bool

	stopped, wasReset, closed, recvInt, sendInt bool // by ourselves
	sending, receiving                          bool
}

func (e *modelEnd) add(x *session.Exchange) *side {
	s := &side{end: e, x: x}
	e.sides[x.ID()] = s
	e.order = append(e.order, s)
	return s
}

// peer returns the other end of the exchange; nil if it has not been accepted.
func (s *side) peer() *side { return s.end.other.sides[s.x.ID()] }

// GoString is what rapid prints.
func (e *modelEnd) GoString() string { return e.name }

// GoString is what rapid prints.
func (s *side) GoString() string { return fmt.Sprintf("%d of the %s", s.x.ID(), s.end.name) }

// calls are calls in a goroutine of their own, which may have to wait.
type calls struct {
	done    bool
	results []func(*rapid.T) // what became of those that are over
}

// report has the test's goroutine judge what became of a call.
func (c *calls) report(judge func(*rapid.T)) { c.results = append(c.results, judge) }

func (e *modelEnd) start(run func(*calls)) {
	c := &calls{}
	e.calls = append(e.calls, c)
	go func() {
		run(c)
		c.done = true
	}()
}

// check lets all calls go on as far as they can, and looks at everything.
func (w *world) check(t *rapid.T) {
	synctest.Wait()
	for _, e := range w.ends {
		e.collect(t)
	}
	for _, e := range w.ends {
		if err := e.s.Err(); err != nil {
			t.Fatalf("the %s's session failed: %v", e.name, err)
		}
		e.audit(t)
	}
}

func (e *modelEnd) collect(t *rapid.T) {
	waiting := e.calls[:0]
	for _, c := range e.calls {
		for _, judge := range c.results {
			judge(t)
		}
		c.results = nil
		if !c.done {
			waiting = append(waiting, c)
		}
	}
	e.calls = waiting
}

// pick draws one of the sides that fit, of both ends.
func (w *world) pick(t *rapid.T, fits func(*side) bool) *side {
	var all []*side
	for _, e := range w.ends {
		for _, s := range e.order {
			if !s.closed && fits(s) {
				all = append(all, s)
			}
		}
	}
	if len(all) == 0 {
		t.Skip("no exchange fits")
	}
	return rapid.SampledFrom(all).Draw(t, "exchange")
}

// modelPart is a part in two pieces.
type modelPart struct {
	meta, data []byte
	end        bool
}

func (w *world) part(t *rapid.T) modelPart {
	p := modelPart{end: rapid.IntRange(0, 9).Draw(t, "end") == 9}
	size := rapid.IntRange(0, 400).Draw(t, "size")
	w.next++
	if p.end {
		p.meta = []byte{0x18, 0x01}
	} else if size == 0 {
		p.meta = []byte{0x30, 1 + w.next%0x7f} // a part of no bytes is nothing
	}
	p.meta = session.AppendDataTag(p.meta, size)
	p.data = bytes.Repeat([]byte{w.next}, size)
	return p
}

func (w *world) open(t *rapid.T) {
	client := w.ends[0]
	p := w.part(t)
	client.opening++
	client.start(func(c *calls) {
		x, err := client.s.Open(w.test.Context(), p.meta, p.data, p.end)
		c.report(func(t *rapid.T) {
			client.opening--
			switch {
			case err == nil:
				client.add(x).hasSent(p)
			case errors.Is(err, session.ErrDraining) && (client.closed || client.heardDrain):
			case errors.Is(err, session.ErrFull) && client.heardHello && client.open() >= modelMaxExchanges:
			default:
				t.Fatalf("open: %v", err)
			}
		})
	})
}

// open returns the number of exchanges that are not closed.
func (e *modelEnd) open() int {
	n := 0
	for _, s := range e.order {
		if !s.closed {
			n++
		}
	}
	return n
}

func (w *world) send(t *rapid.T) {
	s := w.pick(t, func(s *side) bool { return !s.sending })
	parts := rapid.SliceOfN(rapid.Custom(w.part), 1, 5).Draw(t, "parts")
	s.sending = true
	s.end.start(func(c *calls) {
		for i, p := range parts {
			err := s.x.Send(p.meta, p.data, p.end)
			c.report(func(t *rapid.T) {
				if err == nil {
					s.hasSent(p)
				} else {
					s.judgeSendError(t, err)
				}
				s.sending = err == nil && i < len(parts)-1
			})
			if err != nil {
				return
			}
		}
	})
}

func (w *world) receive(t *rapid.T) {
	s := w.pick(t, func(s *side) bool { return !s.receiving })
	s.receive(rapid.IntRange(1, 5).Draw(t, "parts"))
}

// receive receives at most so many parts.
func (s *side) receive(n int) {
	s.receiving = true
	s.end.start(func(c *calls) {
		for i := range n {
			part, err := s.x.Receive()
			part = bytes.Clone(part)
			c.report(func(t *rapid.T) {
				if err == nil {
					s.judgeReceived(t, part)
				} else {
					s.judgeReceiveError(t, err)
				}
				s.receiving = err == nil && i < n-1
			})
			if err != nil {
				return
			}
		}
	})
}

func (w *world) take(t *rapid.T) {
	e := rapid.SampledFrom(w.ends[:]).Draw(t, "end")
	e.take(t)
}

// take moves a message to the wire, if there is one.
func (e *modelEnd) take(t *rapid.T) bool {
	batch, err := e.s.TryBatch()
	if err != nil || len(batch) == 0 {
		return false
	}
	message := append([]byte(nil), batch...)
	e.inspect(t, message)
	e.wire = append(e.wire, message)
	return true
}

// carry has all that is under way from one end arrive.
func (w *world) carry(t *rapid.T) {
	e := rapid.SampledFrom(w.ends[:]).Draw(t, "from")
	e.take(t)
	for len(e.wire) > 0 {
		e.deliver(t)
	}
}

func (w *world) deliver(t *rapid.T) {
	e := rapid.SampledFrom(w.ends[:]).Draw(t, "from")
	if len(e.wire) == 0 {
		return
	}
	e.deliver(t)
}

// deliver moves a message from the wire to the other end.
func (e *modelEnd) deliver(t *rapid.T) {
	message := e.wire[0]
	e.wire = e.wire[1:]
	if err := e.other.s.Deliver(message); err != nil {
		t.Fatalf("the %s refuses what the %s has sent: %v", e.other.name, e.name, err)
	}
	e.other.hear(t, message)
	clear(message) // Deliver must not keep it
}

func (w *world) stop(t *rapid.T) {
	s := w.pick(t, func(s *side) bool { return !s.stopped })
	s.stopped = true
	s.x.Stop()
}

func (w *world) reset(t *rapid.T) {
	s := w.pick(t, func(s *side) bool { return !s.wasReset })
	s.wasReset = true
	s.x.Reset(culvertv1.Cause_CAUSE_HANDLER_FAILED, false, "model")
}

func (w *world) close(t *rapid.T) {
	w.closeSide(w.pick(t, func(*side) bool { return true }))
}

func (w *world) closeSide(s *side) {
	s.closed = true
	s.x.Close(culvertv1.Cause_CAUSE_CANCELED)
}

func (w *world) interruptSend(t *rapid.T) {
	s := w.pick(t, func(s *side) bool { return !s.sendInt })
	s.sendInt = true
	s.x.InterruptSend()
}

func (w *world) interruptReceive(t *rapid.T) {
	s := w.pick(t, func(s *side) bool { return !s.recvInt })
	s.recvInt = true
	s.x.InterruptReceive()
}

func (w *world) ping(t *rapid.T) {
	e := rapid.SampledFrom(w.ends[:]).Draw(t, "end")
	e.start(func(c *calls) {
		if err := e.s.Ping(w.test.Context()); err != nil {
			c.report(func(t *rapid.T) { t.Fatalf("ping: %v", err) })
		}
	})
}

func (w *world) drain(t *rapid.T) {
	if rapid.IntRange(0, 9).Draw(t, "more rarely") == 9 {
		w.ends[1].s.Drain()
	}
}

func (w *world) closeSession(t *rapid.T) {
	if rapid.IntRange(0, 9).Draw(t, "more rarely") == 9 {
		w.ends[0].closed = true
		w.ends[0].s.Close()
	}
}

// settle reads all that can be read and carries all that is on the way, until
// nothing moves. Then nobody waits for credit or for a turn.
func (w *world) settle(t *rapid.T) {
	for _, e := range w.ends {
		for _, s := range e.order {
			if (s.recvInt || s.wasReset) && !s.closed {
				w.closeSide(s) // nobody would read what is there
			}
		}
	}
	w.check(t)
	for moved := true; moved; {
		moved = false
		for _, e := range w.ends {
			moved = e.take(t) || moved
			for len(e.wire) > 0 {
				e.deliver(t)
				moved = true
			}
			w.check(t)
			for _, s := range e.order {
				if !s.receiving && s.mayReceive() {
					s.receive(5)
					moved = true
				}
			}
			w.check(t)
		}
	}
	for _, e := range w.ends {
		for _, s := range e.order {
			s.judgeSettled(t)
		}
	}
}

// finish ends the session in good order.
func (w *world) finish(t *rapid.T) {
	for _, e := range w.ends {
		for _, s := range e.order {
			if !s.closed {
				w.closeSide(s)
			}
		}
	}
	client, server := w.ends[0], w.ends[1]
	client.closed = true
	client.s.Close()
	w.settle(t)
	for _, e := range w.ends {
		if len(e.calls) != 0 {
			t.Fatalf("%d calls of the %s still wait", len(e.calls), e.name)
		}
		if n, _, _ := e.s.Load(); n != 0 {
			t.Fatalf("the %s has %d exchanges left", e.name, n)
		}
	}
	client.mustEnd(t)
	server.s.DeliverEnd(errEnd)
	server.mustEnd(t)
	client.s.DeliverEnd(errEnd)
	if err := client.s.Err(); !errors.Is(err, session.ErrClosed) {
		t.Fatalf("the client's session ended with %v", err)
	}
}

// abort ends all calls that wait.
func (w *world) abort() {
	for _, e := range w.ends {
		e.s.Fail(session.ErrClosed)
	}
	synctest.Wait()
}
