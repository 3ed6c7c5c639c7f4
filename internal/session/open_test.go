package session_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/culvert-http/culvert/internal/session"
)

// byHand is a context whose end is announced when the test says so.
type byHand struct {
	context.Context //nolint:containedctx // it is one
	done            chan struct{}
	waiting         chan func() // how to announce it, from whoever waits for it
}

func newByHand(ctx context.Context) byHand {
	return byHand{Context: ctx, done: make(chan struct{}), waiting: make(chan func(), 1)}
}

// Done has the context package ask for AfterFunc.
func (c byHand) Done() <-chan struct{} { return c.done }

func (c byHand) AfterFunc(f func()) func() bool {
	c.waiting <- f
	return func() bool { return false }
}

// fill fills the client's batch, so that the next one to send has to wait.
func (p *peer) fill() {
	p.tb.Helper()
	p.open(1)
	part := session.AppendDataTag(nil, session.MinWindow)
	if err := p.opened[len(p.opened)-1].Send(part, make([]byte, session.MinWindow), false); err != nil {
		p.tb.Fatal(err)
	}
}

func TestOpenIsNotCancelledOnceItHasOpened(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := facingClient(t)
		p.fill()
		base, cancel := context.WithCancel(t.Context())
		defer cancel()
		ctx := newByHand(base)
		opened := make(chan *session.Exchange, 1)
		go func() {
			x, err := p.of.Open(ctx, openingPart(t), nil, false)
			if err != nil {
				t.Error(err)
			}
			opened <- x
		}()
		announce := <-ctx.waiting
		if _, err := p.of.TakeBatch(func() {
			cancel() // after there is room, and before Open knows of it
			announce()
		}); err != nil {
			t.Fatal(err)
		}
		x := <-opened
		synctest.Wait()
		if err := x.Send([]byte{0x18, 0x01}, nil, true); err != nil {
			t.Errorf("send: %v", err)
		}
	})
}

func TestOpenThatWaitsEnds(t *testing.T) {
	errTest := errors.New("test")
	for name, row := range map[string]struct {
		end  func(*session.Session, context.CancelFunc)
		want error
	}{
		"its context":  {func(_ *session.Session, cancel context.CancelFunc) { cancel() }, context.Canceled},
		"close":        {func(s *session.Session, _ context.CancelFunc) { s.Close() }, session.ErrDraining},
		"fail":         {func(s *session.Session, _ context.CancelFunc) { s.Fail(errTest) }, errTest},
		"the RPC ends": {func(s *session.Session, _ context.CancelFunc) { s.DeliverEnd(errTest) }, errTest},
	} {
		t.Run(name, func(t *testing.T) {
			p := facingClient(t)
			p.fill()
			base, cancel := context.WithCancel(t.Context())
			defer cancel()
			ctx := newByHand(base)
			result := make(chan error, 1)
			go func() {
				_, err := p.of.Open(ctx, openingPart(t), nil, false)
				result <- err
			}()
			wake := <-ctx.waiting
			row.end(p.of, cancel)
			if row.want == context.Canceled {
				wake()
			}
			if err := <-result; !errors.Is(err, row.want) {
				t.Errorf("open: %v, want %v", err, row.want)
			}
		})
	}
}
