package culvert

import (
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/culvert-http/culvert/internal/bridge"
)

// sessionPool keeps the sessions to a server.
type sessionPool struct {
	// start begins a session for a request.
	start func(inbound *bridge.Inbound) *clientSession

	mu       sync.Mutex
	sessions []*clientSession
	all      sync.WaitGroup // of what wait waits for
	over     bool           // wait has been called: nothing is added to all
	// For auto: whether an RPC has been answered; whether the server recommends
	// sessions, and when that was found out.
	connected bool
	advice    sessionAdvice
	advised   time.Time
}

// sessionAdvice is what is known of whether a server recommends sessions.
type sessionAdvice int

const (
	adviceUnknown sessionAdvice = iota
	adviceAsked
	adviceYes
	adviceNo
)

const (
	// sharedSession is the number of exchanges from which on another session is
	// opened as long as there is a processor for each: what a session sends and
	// receives is in order, so that one keeps little more than one of them busy.
	sharedSession = 64
	// busySession is the same for sessions beyond that. What so many keep that are
	// not read leaves a session room for others.
	busySession = 128
	// maxSessions bounds the sessions of a transport that take new exchanges.
	maxSessions = 16
	// adviceAge is how long the word of a server that does not recommend sessions
	// counts.
	adviceAge = 5 * time.Minute
)

// get returns the session with the fewest exchanges that takes more, before those
// that are crowded with what nobody reads; avoid are those that have said that they
// take none.
func (p *sessionPool) get(inbound *bridge.Inbound, avoid ...*clientSession) *clientSession {
	p.mu.Lock()
	defer p.mu.Unlock()
	var best *clientSession
	load, full, count := 0, false, 0
	keep := p.sessions[:0]
	for _, s := range p.sessions {
		n, open, crowded := s.session.Load()
		if !open {
			continue // it ends by itself
		}
		keep = append(keep, s)
		count++
		if slices.Contains(avoid, s) {
			continue
		}
		if best == nil || full && !crowded || full == crowded && n < load {
			best, load, full = s, n, crowded
		}
	}
	clear(p.sessions[len(keep):])
	p.sessions = keep
	if best == nil || (full || load >= enough(count)) && count < maxSessions {
		best = p.add(inbound)
	}
	return best
}

// enough is how many exchanges each of so many sessions has before there is one
// more.
func enough(sessions int) int {
	if sessions < runtime.GOMAXPROCS(0) {
		return sharedSession
	}
	return busySession
}

func (p *sessionPool) add(inbound *bridge.Inbound) *clientSession {
	s := p.start(inbound)
	p.sessions = append(p.sessions, s)
	p.run(func() { <-s.ended })
	return s
}

// answered says that the server has answered an RPC.
func (p *sessionPool) answered() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.connected = true
}

// recommended reports whether exchanges should go by session. While that is not
// known it asks, and does not wait for the answer.
func (p *sessionPool) recommended() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch p.advice {
	case adviceYes:
		return true
	case adviceAsked:
		return false
	case adviceNo:
		if time.Since(p.advised) < adviceAge {
			return false
		}
	case adviceUnknown:
	}
	if !p.connected {
		return false
	}
	p.advice = adviceAsked
	s := p.add(&bridge.Inbound{})
	p.run(func() { p.ask(s) })
	return false
}

// ask waits for the hello of a session, and ends it if it is not to be used.
func (p *sessionPool) ask(s *clientSession) {
	<-s.greeted
	hello := s.session.Hello()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.advised = time.Now()
	switch {
	case hello.GetRecommended():
		p.advice = adviceYes
	case hello == nil && s.refusal() == nil:
		p.advice = adviceUnknown
	default:
		p.advice = adviceNo
		s.session.Close()
	}
}

// forget has auto ask again, because a session has failed.
func (p *sessionPool) forget() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.advice == adviceYes {
		p.advice = adviceUnknown
	}
}

// closeIdle ends the sessions that carry nothing.
func (p *sessionPool) closeIdle() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range p.sessions {
		if n, _, _ := s.session.Load(); n == 0 {
			s.session.Close()
		}
	}
}

// run runs f, which wait waits for. What an exchange begins while the transport is
// being closed ends with it by itself. It needs the lock.
func (p *sessionPool) run(f func()) {
	if p.over {
		go f()
		return
	}
	p.all.Go(f)
}

// wait returns when no session is left.
func (p *sessionPool) wait() {
	p.mu.Lock()
	p.over = true
	p.mu.Unlock()
	p.all.Wait()
}
