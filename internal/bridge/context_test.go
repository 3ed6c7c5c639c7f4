package bridge

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// A parent that ends while an exchange begins ends that as well, for whoever begins
// to wait for it then.
func TestContextOfEndedParent(t *testing.T) {
	parent, cancel := context.WithCancel(t.Context())
	cancel()
	for range 1000 {
		var c exchangeContext
		var ended sync.WaitGroup
		ended.Add(1)
		c.begin(parent, 0)
		c.AfterFunc(ended.Done)
		ended.Wait()
		<-c.Done()
		if c.Err() != context.Canceled {
			t.Fatalf("the context ended with %v", c.Err())
		}
	}
}

func TestContextEndedBeforeItsTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		parent, cancel := context.WithCancel(t.Context())
		cancel()
		var c exchangeContext
		c.parent = parent
		c.End(context.Canceled)
		c.begin(parent, time.Hour)
		synctest.Wait()
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.timer != nil && c.timer.Stop() {
			t.Error("the timer of a context that has ended runs")
		}
	})
}

// Contexts below the one of an exchange end with it, for the reason that it has
// ended for, and cost what they cost below a context of package context's own.
func TestContextsBelowEndWithTheExchange(t *testing.T) {
	reason := errors.New("why")
	for name, row := range map[string]struct {
		timeout    time.Duration
		end        func(c *exchangeContext, parent context.CancelCauseFunc)
		err, cause error
	}{
		"exchange": {0, func(c *exchangeContext, _ context.CancelCauseFunc) { c.End(reason) }, context.Canceled, context.Canceled},
		"parent":   {0, func(_ *exchangeContext, parent context.CancelCauseFunc) { parent(reason) }, context.Canceled, reason},
		"deadline": {time.Minute, func(*exchangeContext, context.CancelCauseFunc) { after(time.Hour) }, context.DeadlineExceeded, context.DeadlineExceeded},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				parent, cancel := context.WithCancelCause(t.Context())
				defer cancel(nil)
				c := exchangeContext{exchange: &exchange{}}
				c.begin(parent, row.timeout)
				below, done := context.WithCancel(&c)
				defer done()
				var ran atomic.Bool
				defer context.AfterFunc(&c, func() { ran.Store(true) })()
				row.end(&c, cancel)
				synctest.Wait()
				for what, ctx := range map[string]context.Context{"the exchange's": &c, "one below": below} {
					if err, cause := ctx.Err(), context.Cause(ctx); err != row.err || cause != row.cause {
						t.Errorf("%s ended with %v for %v, want %v for %v", what, err, cause, row.err, row.cause)
					}
				}
				late, done := context.WithCancel(&c)
				defer done()
				if !ran.Load() || late.Err() != row.err {
					t.Errorf("AfterFunc ran: %t; one that began late ended with %v", ran.Load(), late.Err())
				}
			})
		})
	}
}

func TestContextsBelowCostLittle(t *testing.T) {
	parent, cancel := context.WithCancel(t.Context())
	defer cancel()
	c := exchangeContext{exchange: &exchange{}}
	c.begin(parent, 0)
	defer c.End(nil)
	cost := func(ctx context.Context) float64 {
		return testing.AllocsPerRun(100, func() { context.AfterFunc(ctx, func() {})() })
	}
	if got, want := cost(&c), cost(parent); got > want {
		t.Errorf("an AfterFunc costs %v allocations, and %v below a context of package context's", got, want)
	}
}
