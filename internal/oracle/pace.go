package oracle

import "sync"

// pace lets the chunks of a request's body out when its row wants them sent. The
// side that reads the response tells it how far that is.
type pace struct {
	mu       sync.Mutex
	changed  sync.Cond
	lockstep bool
	held     bool // until there is a head, of whatever status
	received int
	over     bool
}

func newPace(r *Request) *pace {
	p := &pace{lockstep: r.Lockstep, held: r.holdsBack() || r.Upgrade != ""}
	p.changed.L = &p.mu
	return p
}

// wait returns when the next chunk may be sent, and reports false if the
// exchange is over before that. sent is how many bytes were sent so far.
func (p *pace) wait(sent int) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for !p.over && (p.held || p.lockstep && p.received < sent) {
		p.changed.Wait()
	}
	return !p.over
}

// informed says that a head has come. A final one instead of a 100 means that
// nobody wants the body.
func (p *pace) informed(status int, upgraded bool) {
	p.update(func() {
		if p.held && status >= 200 && !upgraded {
			p.over = true
		}
		if status == 100 || status >= 200 || upgraded {
			p.held = false
		}
	})
}

func (p *pace) got(n int) { p.update(func() { p.received += n }) }

// end says that the exchange is over.
func (p *pace) end() { p.update(func() { p.over = true }) }

func (p *pace) update(change func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change()
	p.changed.Broadcast()
}
