package session

// queue is a list of exchanges, first in first out, from which each can leave at
// any time.
type queue struct{ first, last *Exchange }

// link is an exchange's place in a queue.
type link struct {
	previous, next *Exchange
	queued         bool
}

func (q *queue) push(x *Exchange) {
	x.link = link{previous: q.last, queued: true}
	if q.last == nil {
		q.first = x
	} else {
		q.last.link.next = x
	}
	q.last = x
}

func (q *queue) remove(x *Exchange) {
	if x.link.previous == nil {
		q.first = x.link.next
	} else {
		x.link.previous.link.next = x.link.next
	}
	if x.link.next == nil {
		q.last = x.link.previous
	} else {
		x.link.next.link.previous = x.link.previous
	}
	x.link = link{}
}
