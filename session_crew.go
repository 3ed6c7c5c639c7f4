package culvert

import (
	"sync"
	"time"

	"github.com/culvert-http/culvert/internal/session"
)

const (
	// maxIdleCrew is how many goroutines without work a session keeps.
	maxIdleCrew = 64
	// crewLeave is how long one is kept that has no work, at least; it can be twice
	// that.
	crewLeave = 5 * time.Second
)

// sessionCrew are the goroutines of a served session. One of them leads: it reads
// what the client sends. When that opens exchanges, it gives the lead to another
// and serves the first of them itself, so that nobody has to be woken before a
// handler runs. Goroutines are kept, for their stacks have grown to what a handler
// needs.
type sessionCrew struct {
	// read waits for the next message, and returns what it opens. Nothing comes
	// after one that has no more.
	read func() (opened []*session.Exchange, more bool)
	// serve serves an exchange to its end.
	serve func(*session.Exchange)

	running sync.WaitGroup

	mu    sync.Mutex // guards what follows
	idle  []chan crewWork
	spare int         // of idle, those at its beginning that had no work for a while
	trim  *time.Timer // for them to leave
	over  bool        // nothing more is read
}

// crewWork is what one of the crew does next: serve an exchange, or lead.
type crewWork struct{ exchange *session.Exchange }

// run leads until all is read.
func (c *sessionCrew) run() { c.assign(crewWork{}) }

// wait returns when all that was opened has been served.
func (c *sessionCrew) wait() { c.running.Wait() }

// assign gives work to the one of the crew who has been idle for the shortest
// time, or to a new one.
func (c *sessionCrew) assign(work crewWork) {
	c.mu.Lock()
	if last := len(c.idle) - 1; last >= 0 {
		member := c.idle[last]
		c.idle = c.idle[:last]
		c.spare = min(c.spare, last)
		c.mu.Unlock()
		member <- work
		return
	}
	c.mu.Unlock()
	c.running.Go(func() { c.work(work) })
}

// work is the life of one of the crew.
func (c *sessionCrew) work(work crewWork) {
	member := make(chan crewWork, 1)
	for ok := true; ok; work, ok = c.rest(member) {
		if work.exchange == nil {
			if work = c.lead(); work.exchange == nil {
				c.dismiss()
				return
			}
		}
		c.serve(work.exchange)
	}
}

// lead reads until there is something to serve, and returns the first of it. It
// returns nothing when there is nothing more to read.
func (c *sessionCrew) lead() crewWork {
	for {
		opened, more := c.read()
		if !more {
			for _, x := range opened {
				c.assign(crewWork{x})
			}
			return crewWork{}
		}
		if len(opened) == 0 {
			continue
		}
		first := opened[0]
		for _, x := range opened[1:] {
			c.assign(crewWork{x})
		}
		c.assign(crewWork{}) // who leads next may use opened again
		return crewWork{first}
	}
}

// rest waits for work. It returns false if there will be none.
func (c *sessionCrew) rest(member chan crewWork) (crewWork, bool) {
	c.mu.Lock()
	if c.over || len(c.idle) >= maxIdleCrew {
		c.mu.Unlock()
		return crewWork{}, false
	}
	c.idle = append(c.idle, member)
	if c.trim == nil {
		c.spare = 0
		c.trim = time.AfterFunc(crewLeave, c.leave)
	}
	c.mu.Unlock()
	work, ok := <-member
	return work, ok
}

// leave runs in the goroutine of a timer, as long as some are idle. It ends those
// who have had no work since it ran last: a burst of exchanges does not leave its
// stacks behind.
func (c *sessionCrew) leave() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over {
		return
	}
	for _, member := range c.idle[:c.spare] {
		close(member)
	}
	kept := copy(c.idle, c.idle[c.spare:])
	clear(c.idle[kept:])
	c.idle = c.idle[:kept]
	c.spare = kept
	c.trim = nil
	if kept > 0 {
		c.trim = time.AfterFunc(crewLeave, c.leave)
	}
}

// dismiss ends those who have no work.
func (c *sessionCrew) dismiss() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.over = true
	for _, member := range c.idle {
		close(member)
	}
	c.idle = nil
	if c.trim != nil {
		c.trim.Stop()
	}
}
