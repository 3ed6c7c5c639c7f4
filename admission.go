package culvert

import (
	"container/list"
	"context"
	"fmt"
	"sync"
	"time"

	culvertv1 "github.com/culvert-http/culvert/api/culvert/v1"
)

// admission counts the exchanges that run, bounds them, has some wait for their
// turn, and lets none in while the handler drains. It does the same with sessions.
type admission struct {
	what              string // it counts
	most, mostPerConn int
	wait              time.Duration // how long an exchange waits for a place

	mu       sync.Mutex
	running  int
	perConn  map[string]int // those that wait as well
	waiting  list.List      // of *waiter, the first is next
	draining bool
	idle     chan struct{} // closed when nothing runs and nothing will
}

// waiter is an exchange of a connection that waits for a place.
type waiter struct {
	conn   string
	called chan *Error
}

func newAdmission(what string, most, mostPerConn int, wait time.Duration) *admission {
	return &admission{
		what:        what,
		most:        most,
		mostPerConn: mostPerConn,
		wait:        wait,
		perConn:     make(map[string]int),
		idle:        make(chan struct{}),
	}
}

// enter admits an exchange of a connection, which must leave again, or says why
// not. It waits for a place while ctx is not done, if the admission has a wait.
// The connection is "" where connections cannot be told apart.
func (a *admission) enter(ctx context.Context, conn string) *Error {
	place, err := a.enterOrQueue(conn)
	if place == nil {
		return err
	}
	timer := time.NewTimer(a.wait)
	defer timer.Stop()
	select {
	case err := <-waiterAt(place).called:
		return err
	case <-timer.C:
		return a.giveUp(place, a.tooMany())
	case <-ctx.Done():
		return a.giveUp(place, &Error{Cause: culvertv1.Cause_CAUSE_CANCELED, Err: ctx.Err()})
	}
}

// enterOrQueue admits an exchange at once, or refuses it, or returns its place
// among those that wait.
func (a *admission) enterOrQueue(conn string) (*list.Element, *Error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	full := a.running >= a.most
	switch {
	case a.draining:
		return nil, &Error{Cause: culvertv1.Cause_CAUSE_DRAINING, NotStarted: true}
	case conn != "" && a.perConn[conn] >= a.mostPerConn:
		return nil, tooMany("%d %s at once are the most that a connection may have", a.mostPerConn, a.what)
	case full && (a.wait == 0 || a.waiting.Len() >= a.most): // no more wait than may run
		return nil, a.tooMany()
	}
	if conn != "" {
		a.perConn[conn]++
	}
	if full {
		return a.waiting.PushBack(&waiter{conn, make(chan *Error, 1)}), nil
	}
	a.running++
	return nil, nil
}

// giveUp ends the wait of an exchange, unless its turn has just come.
func (a *admission) giveUp(place *list.Element, err *Error) *Error {
	a.mu.Lock()
	defer a.mu.Unlock()
	select {
	case called := <-waiterAt(place).called:
		return called
	default:
		a.refuse(place, err)
		return err
	}
}

func waiterAt(place *list.Element) *waiter {
	return place.Value.(*waiter) // the list has nothing else
}

func (a *admission) tooMany() *Error {
	return tooMany("%d %s at once are the most that this server takes", a.most, a.what)
}

func tooMany(format string, most int, what string) *Error {
	return &Error{Cause: culvertv1.Cause_CAUSE_TOO_MANY_EXCHANGES, Err: fmt.Errorf(format, most, what), Public: true}
}

// shared reports whether more than one exchange runs.
func (a *admission) shared() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.running > 1
}

// leave makes room for another exchange.
func (a *admission) leave(conn string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.leaveConn(conn)
	if next := a.waiting.Front(); next != nil {
		a.waiting.Remove(next)
		waiterAt(next).called <- nil // it has the place now
		return
	}
	a.running--
	a.signal()
}

func (a *admission) leaveConn(conn string) {
	if conn == "" {
		return
	}
	if a.perConn[conn]--; a.perConn[conn] == 0 {
		delete(a.perConn, conn)
	}
}

// refuse ends the wait of an exchange.
func (a *admission) refuse(place *list.Element, err *Error) {
	a.waiting.Remove(place)
	a.leaveConn(waiterAt(place).conn)
	waiterAt(place).called <- err
}

// signal tells those who wait that the last exchange is over.
func (a *admission) signal() {
	if a.draining && a.running == 0 {
		select {
		case <-a.idle:
		default:
			close(a.idle)
		}
	}
}

// drain admits no more, those that wait neither, and waits until nothing runs or
// ctx is done.
func (a *admission) drain(ctx context.Context) error {
	a.mu.Lock()
	a.draining = true
	for next := a.waiting.Front(); next != nil; next = a.waiting.Front() {
		a.refuse(next, &Error{Cause: culvertv1.Cause_CAUSE_DRAINING, NotStarted: true})
	}
	a.signal()
	a.mu.Unlock()
	select {
	case <-a.idle:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
