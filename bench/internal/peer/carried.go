package peer

import (
	"errors"
	"fmt"

	"github.com/culvert-http/culvert/bench/internal/app"
)

// settleTries is how many exchanges Settle makes at most.
const settleTries = 1000

// Settle makes small exchanges until they come by the peer's carrier: a transport
// without options finds out about sessions by its first ones.
func (p *Path) Settle() (err error) {
	worker, err := p.Worker(app.Small())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, worker.Close()) }()
	for range settleTries {
		before := p.Carried()
		if err := worker.Exchange(); err != nil {
			return fmt.Errorf("settle: %w", err)
		}
		if p.Check(before, 1) == nil {
			return nil
		}
	}
	return fmt.Errorf("settle: after %d exchanges none comes by %s", settleTries, p.Peer.Carrier)
}

// Carried returns how many requests have reached the application so far, by the
// peer's carrier and otherwise.
func (p *Path) Carried() app.Counts { return p.app.Carried(p.Peer.Carrier) }

// Check fails unless so many requests have come since then, and all by the peer's
// carrier.
func (p *Path) Check(since app.Counts, requests int64) error {
	want := app.Counts{As: requests}
	if p.Peer.Bare {
		want.As = 0
	}
	if got := p.Carried().Since(since); got != want {
		return fmt.Errorf("check carrier: of %d requests %d came by %s, and %d otherwise",
			requests, got.As, p.Peer.Carrier, got.Otherwise)
	}
	return nil
}
