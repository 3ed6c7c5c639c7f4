package culvert

import (
	"fmt"
	"math"
	"net/http"
	"net/netip"
	"time"

	culvertv1 "github.com/culvert-http/culvert/api/culvert/v1"
	"github.com/culvert-http/culvert/internal/peerrate"
)

// peerRates bounds how many exchanges each peer may begin. A nil *peerRates has
// no bound.
type peerRates struct {
	limit float64
	peers *peerrate.Rates
}

// newPeerRates returns the bound of limit exchanges a second for each peer, with
// at most burst at once, and nil if limit is 0.
func newPeerRates(limit float64, burst int) *peerRates {
	if limit == 0 {
		return nil
	}
	if burst == 0 {
		burst = max(1, int(math.Ceil(limit)))
	}
	return &peerRates{limit: limit, peers: peerrate.New(limit, burst)}
}

// take counts one exchange of a peer, or says why it may not begin. Who cannot
// be named, on a unix socket, is not bounded.
func (r *peerRates) take(peer string) *Error {
	if r == nil || peer == "" {
		return nil
	}
	limiter := r.peers.Of(peer)
	now := time.Now()
	reservation := limiter.ReserveN(now, 1)
	delay := reservation.DelayFrom(now)
	if delay == 0 {
		return nil
	}
	reservation.CancelAt(now)
	return &Error{
		Cause:  culvertv1.Cause_CAUSE_RATE_LIMITED,
		Err:    &retryAfterError{fmt.Errorf("more than %g exchanges a second", r.limit), delay},
		Public: true,
	}
}

// peerKey names the peer of a request whose address is addr, "" if it has no
// name: by the key of the client certificate that was verified, which may call
// from many addresses, and else by the address.
func peerKey(r *http.Request, addr string) string {
	if r.TLS != nil && len(r.TLS.VerifiedChains) > 0 {
		return string(r.TLS.PeerCertificates[0].RawSubjectPublicKeyInfo)
	}
	peer, err := netip.ParseAddrPort(addr)
	if err != nil {
		return ""
	}
	return peerrate.Subscriber(peer.Addr()).String()
}

// validateRate says what is wrong with a rate and its burst, nil if nothing is.
func validateRate(limit float64, burst int) error {
	if limit < 0 || math.IsNaN(limit) || math.IsInf(limit, 0) {
		return fmt.Errorf("%g is not a number of exchanges a second", limit)
	}
	if burst < 0 {
		return fmt.Errorf("a burst of %d is negative", burst)
	}
	return nil
}
