// Package timeout has timeouts for much that is over long before its time.
package timeout

import (
	"sync"
	"time"
)

// Queue is for timeouts of one length. Most are stopped long before they run: to
// start and to stop one costs a place in a list, where a timer of its own would
// cost one in the runtime's heap. The zero value is ready for use.
type Queue[T any] struct {
	mu          sync.Mutex // guards what follows, and the places in the list
	first, last *Timeout[T]
	timer       *time.Timer // runs while there is a first, or has to be started
}

// Timeout is one of them. It may be used again when it was stopped or has run.
type Timeout[T any] struct {
	owner          *T
	run            func(*T)
	at             time.Time
	previous, next *Timeout[T]
	waits          bool
}

// Start has run called with owner after a time, which must be the same at every
// call. It runs on a goroutine that others wait for, and must not block.
func (q *Queue[T]) Start(t *Timeout[T], after time.Duration, owner *T, run func(*T)) {
	now := time.Now()
	q.mu.Lock()
	defer q.mu.Unlock()
	*t = Timeout[T]{owner: owner, run: run, at: now.Add(after), previous: q.last, waits: true}
	if q.last != nil {
		q.last.next = t
		q.last = t
		return
	}
	q.first, q.last = t, t
	if q.timer == nil {
		q.timer = time.AfterFunc(after, q.expire)
	}
}

// Stop keeps a timeout from running, if it does not already.
func (q *Queue[T]) Stop(t *Timeout[T]) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.remove(t)
}

func (q *Queue[T]) remove(t *Timeout[T]) {
	if !t.waits {
		return
	}
	if t.previous == nil {
		q.first = t.next
	} else {
		t.previous.next = t.next
	}
	if t.next == nil {
		q.last = t.previous
	} else {
		t.next.previous = t.previous
	}
	*t = Timeout[T]{}
}

// expire runs what is due, and comes back for the next one that is not.
func (q *Queue[T]) expire() {
	for {
		q.mu.Lock()
		t := q.first
		if t == nil {
			q.timer = nil
			q.mu.Unlock()
			return
		}
		if left := time.Until(t.at); left > 0 {
			q.timer.Reset(left)
			q.mu.Unlock()
			return
		}
		owner, run := t.owner, t.run
		q.remove(t)
		q.mu.Unlock()
		run(owner)
	}
}
