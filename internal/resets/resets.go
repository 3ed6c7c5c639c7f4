// Package resets bounds the requests that come to nothing soon after they came:
// that their client takes back [CVE-2023-44487], or that it has the server take
// back, by a fault that ends a stream alone [CVE-2025-8671]. They cost the server
// what any request does, and their client nothing, whom no bound of those that run
// at once stops.
package resets

import (
	"net"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"github.com/culvert-http/culvert/internal/peerrate"
)

// DefaultPerSecond is how many may come to nothing in a second, of one peer.
const DefaultPerSecond = 100

const (
	// soon is how soon a request is taken back that counts. It is what Envoy calls
	// premature.
	soon = time.Second
	// burst is how many seconds' worth a peer may take back at once.
	burst = 2 * time.Second
	// saved is how many of those at once the answered ones save up: of a proxy with
	// many clients, many may leave at once.
	saved = 10
	// maxPause is for how long nothing is read of who is over the bound. Where it would
	// be longer, the connection is to be closed.
	maxPause = 10 * time.Second
)

// Bound is how many requests of one peer may come to nothing: so many a second, and
// as many as are answered on the same connection. Who goes beyond is read as slowly
// as that. Its methods may be called concurrently. A nil *Bound has no bound.
type Bound struct {
	rates *peerrate.Rates
	burst int
}

// New returns a bound of so many a second.
func New(perSecond float64) *Bound {
	most := max(1, int(perSecond*burst.Seconds()))
	return &Bound{peerrate.New(perSecond, most), most}
}

// Of returns the count of a connection from an address. Without an address, as on a
// unix socket, nobody shares its bound.
func (b *Bound) Of(addr net.Addr) *Count {
	if b == nil {
		return nil
	}
	peer := ""
	if tcp, ok := addr.(*net.TCPAddr); ok {
		peer = peerrate.Subscriber(tcp.AddrPort().Addr()).String()
	}
	return &Count{peer: b.rates.Of(peer), burst: b.burst}
}

// Count counts the requests of a connection, or of a session, that come to nothing.
// Each has a number, which is higher than those of the ones before. Look, Begin,
// TakeBack and Pause are for who reads; the others may be called concurrently. A
// nil *Count has no bound.
type Count struct {
	peer  *rate.Limiter
	burst int

	newest uint64
	last   time.Time // of Look
	// old is the newest of those that have been there for soon, as far as is known:
	// when Look has last looked at that, recent was the newest.
	old, recent uint64
	looked      time.Time

	answered atomic.Int64 // that nothing is weighed against yet
	nothing  atomic.Int64 // that came to nothing, and are not weighed yet

	carrier *Count // that this one is beside
	until   atomic.Pointer[time.Time]
}

// Beside returns a count of other requests of the same peer, which c carries: while
// it pauses, so does c.
func (c *Count) Beside() *Count {
	if c == nil {
		return nil
	}
	return &Count{peer: c.peer, burst: c.burst, carrier: c}
}

// Paused returns for how long those pause that c carries.
func (c *Count) Paused() time.Duration {
	if c == nil {
		return 0
	}
	until := c.until.Load()
	if until == nil {
		return 0
	}
	return time.Until(*until)
}

// Look is called when something has been read, before the rest.
func (c *Count) Look() {
	if c == nil {
		return
	}
	now := time.Now()
	if now.Sub(c.last) >= soon {
		c.old, c.recent, c.looked = c.newest, c.newest, now
	} else if now.Sub(c.looked) >= soon {
		c.old, c.recent, c.looked = c.recent, c.newest, now
	}
	c.last = now
}

// Begin says that a request has begun.
func (c *Count) Begin(number uint64) {
	if c != nil {
		c.newest = max(c.newest, number)
	}
}

// TakeBack says that the client has taken a request back.
func (c *Count) TakeBack(number uint64) {
	if c != nil && number > c.old {
		c.nothing.Add(1)
	}
}

// Fail says that the client had a request end by a mistake.
func (c *Count) Fail() {
	if c != nil {
		c.nothing.Add(1)
	}
}

// Answer says that a request has been answered to its end.
func (c *Count) Answer() {
	if c != nil && c.answered.Load() < int64(saved*c.burst) {
		c.answered.Add(1)
	}
}

// Pause returns for how long nothing more is to be read. It reports false if that
// would be too long.
func (c *Count) Pause() (time.Duration, bool) {
	if c == nil || c.nothing.Load() == 0 {
		return 0, true
	}
	n := c.nothing.Swap(0)
	balanced := min(n, c.answered.Load())
	c.answered.Add(-balanced)
	now, pause := time.Now(), time.Duration(0)
	for n -= balanced; n > 0; n -= int64(c.burst) { // who is over the bound owes no more than that
		reservation := c.peer.ReserveN(now, min(int(n), c.burst))
		if pause = reservation.DelayFrom(now); pause > maxPause {
			reservation.CancelAt(now)
			return 0, false
		}
	}
	if c.carrier != nil && pause > 0 {
		until := now.Add(pause)
		c.carrier.until.Store(&until)
	}
	return pause, true
}
