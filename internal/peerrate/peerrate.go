// Package peerrate keeps an allowance for each of many peers, in bounded memory.
package peerrate

import (
	"net/netip"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/time/rate"
)

// MaxPeers bounds the peers that an allowance is kept for. Over it, the one that
// was heard of least lately is forgotten: of all it is the one whose allowance has
// had most time to come back.
const MaxPeers = 16_384

// ipv6Network is what one subscriber has of IPv6, and so what counts as one
// address [RFC 6177].
const ipv6Network = 64

// Rates are allowances. Its methods may be called concurrently.
type Rates struct {
	limit rate.Limit
	burst int
	peers *lru.Cache[string, *rate.Limiter]
}

// New returns allowances of limit events a second for each peer, and of at most
// burst at once.
func New(limit float64, burst int) *Rates {
	peers, err := lru.New[string, *rate.Limiter](MaxPeers)
	if err != nil {
		panic(err) // of a size that is not positive
	}
	return &Rates{limit: rate.Limit(limit), burst: burst, peers: peers}
}

// Of returns the allowance of a peer. One without a name, which is "", has a new
// one each time.
func (r *Rates) Of(peer string) *rate.Limiter {
	if peer != "" {
		if limiter, ok := r.peers.Get(peer); ok {
			return limiter
		}
	}
	limiter := rate.NewLimiter(r.limit, r.burst)
	if peer != "" {
		if earlier, found, _ := r.peers.PeekOrAdd(peer, limiter); found {
			return earlier
		}
	}
	return limiter
}

// Len is the number of peers that an allowance is kept for.
func (r *Rates) Len() int { return r.peers.Len() }

// Subscriber returns what counts as one address: of IPv4 each, of IPv6 what one
// subscriber has. It is the zero Addr for the zero Addr.
func Subscriber(addr netip.Addr) netip.Addr {
	addr = addr.Unmap().WithZone("")
	if addr.Is6() {
		return netip.PrefixFrom(addr, ipv6Network).Masked().Addr()
	}
	return addr
}
