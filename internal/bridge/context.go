package bridge

import (
	"context"
	"errors"
	"sync"
	"time"
)

// exchangeContext is the context of an inner request. It ends with the handler,
// with its parent, and after the timeout of its own, if it has one. It is a part
// of its exchange and does no more than it is asked for: most handlers of small
// exchanges never look at their context.
type exchangeContext struct {
	parent   context.Context //nolint:containedctx // this is one itself
	exchange *exchange
	deadline time.Time // zero if there is none

	mu     sync.Mutex // guards what follows
	done   <-chan struct{}
	finish func()          // closes done, once there is one
	trunk  context.Context //nolint:containedctx // what the contexts below this one hang on, if it has no deadline
	err    error
	timer  *time.Timer
	unlink func() bool
	after  map[*afterEnd]struct{}
}

// afterEnd is a function that AfterFunc was given.
type afterEnd struct{ run func() }

// begin starts the context. A timeout of 0 means none. A parent may end meanwhile,
// and is told to this one on another goroutine, if somebody waits.
func (c *exchangeContext) begin(parent context.Context, timeout time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.parent = parent
	c.deadline, _ = parent.Deadline()
	if timeout == 0 {
		return
	}
	if at := time.Now().Add(timeout); c.deadline.IsZero() || at.Before(c.deadline) {
		c.deadline = at
	}
	c.link() // so that no timer runs on, which the client has chosen
	if c.err == nil {
		c.timer = time.AfterFunc(timeout, func() { c.End(context.DeadlineExceeded) })
	}
}

// link has the parent's end told to this context, for those who wait for it.
func (c *exchangeContext) link() {
	if c.unlink == nil && c.parent.Done() != nil {
		c.unlink = context.AfterFunc(c.parent, func() { c.End(c.parent.Err()) })
	}
}

// End ends the context. The first reason counts: a deadline that has passed, or
// anything else, which is a cancellation to those who ask.
func (c *exchangeContext) End(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.end(err)
}

func (c *exchangeContext) end(err error) {
	if c.err != nil {
		return
	}
	if c.err = context.Canceled; errors.Is(err, context.DeadlineExceeded) {
		c.err = context.DeadlineExceeded
	}
	if c.done != nil {
		c.finish()
	}
	for f := range c.after {
		go f.run()
	}
	c.after = nil
	if c.timer != nil {
		c.timer.Stop()
	}
	if c.unlink != nil {
		c.unlink()
	}
}

// Deadline implements context.Context.
func (c *exchangeContext) Deadline() (time.Time, bool) { return c.deadline, !c.deadline.IsZero() }

// Done implements context.Context.
func (c *exchangeContext) Done() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.done == nil {
		c.open()
		if c.err != nil {
			c.finish()
		} else {
			c.link()
		}
	}
	return c.done
}

// open makes what shows the end. Without a deadline that is a context of package
// context's own: many contexts may come and go below this one, one for each message
// of a WebSocket, and below its own they cost half as much.
func (c *exchangeContext) open() {
	if c.deadline.IsZero() {
		trunk, cancel := context.WithCancelCause(context.Background())
		c.trunk, c.done = trunk, trunk.Done()
		c.finish = func() { cancel(context.Cause(endedContext{c.parent, c.err})) }
		return
	}
	done := make(chan struct{})
	c.done = done
	c.finish = func() { close(done) }
}

// endedContext is a context as it is when it has ended, for the cause that its
// parent may have for that.
type endedContext struct {
	context.Context //nolint:containedctx // this is one
	err             error
}

// Err implements context.Context.
func (c endedContext) Err() error { return c.err }

// Err implements context.Context. Who has seen the parent end sees this one end.
func (c *exchangeContext) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.parent.Err(); err != nil {
		c.end(err)
	}
	return c.err
}

// Value implements context.Context.
func (c *exchangeContext) Value(key any) any {
	switch key {
	case failerKey{}:
		return c.exchange
	case schemeKey{}:
		return c.exchange.scheme
	case trustedKey{}:
		return c.exchange.origin.Trusted
	}
	c.mu.Lock()
	trunk := c.trunk
	c.mu.Unlock()
	if trunk != nil {
		if value := trunk.Value(key); value != nil { // it knows nothing but itself
			return value
		}
	}
	return c.parent.Value(key)
}

// AfterFunc has f run in a goroutine of its own when the context has ended. It is
// what package context asks for, so that contexts below this one need no
// goroutines to wait for its end.
func (c *exchangeContext) AfterFunc(f func()) (stop func() bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		go f()
		return func() bool { return false }
	}
	one := &afterEnd{f}
	if c.after == nil {
		c.after = make(map[*afterEnd]struct{})
	}
	c.after[one] = struct{}{}
	c.link()
	return func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		_, waits := c.after[one]
		delete(c.after, one)
		return waits
	}
}

// String implements fmt.Stringer, as contexts do that may end up in logs.
func (c *exchangeContext) String() string { return "culvert.exchange" }
