package auth

import (
	"crypto/x509"
	"errors"
	"net/http"
	"time"

	"github.com/culvert-http/culvert"
	culvertv1 "github.com/culvert-http/culvert/api/culvert/v1"
	"github.com/culvert-http/culvert/internal/peername"
)

// Certificates wants a client certificate that the TLS listener has verified. The
// caller is known by the certificate's first URI or DNS name, until the first
// certificate of its chain ends.
type Certificates struct {
	// Allowed are the names that let in. If there are none, every certificate does
	// that the listener's authorities have signed.
	Allowed peername.List
}

var (
	errNoCertificate = missingError("no verified client certificate")
	errName          = errors.New("the client certificate has none of the names that are allowed")
	errExpired       = errors.New("the client certificate has expired")
)

// Authenticate implements [Method].
func (c *Certificates) Authenticate(r *http.Request) (culvert.Identity, error) {
	if r.TLS == nil || len(r.TLS.VerifiedChains) == 0 {
		return culvert.Identity{}, errNoCertificate
	}
	leaf := r.TLS.VerifiedChains[0][0]
	if len(c.Allowed) > 0 && !c.Allowed.Match(leaf) {
		return culvert.Identity{}, denied(errName)
	}
	expires := expiryOf(r.TLS.VerifiedChains)
	if !time.Now().Before(expires) { // since the handshake: connections live long
		// The client may have another by now, on another connection.
		return culvert.Identity{}, &culvert.Error{
			Cause: culvertv1.Cause_CAUSE_UNAUTHENTICATED, NotStarted: true, Err: errExpired,
		}
	}
	return culvert.Identity{Name: peername.NameOf(leaf), Expires: expires}, nil
}

// expiryOf returns when the last of the chains ends, each of which ends with its
// first certificate.
func expiryOf(chains [][]*x509.Certificate) time.Time {
	var last time.Time
	for _, chain := range chains {
		end := chain[0].NotAfter
		for _, certificate := range chain[1:] {
			end = earlier(end, certificate.NotAfter)
		}
		if end.After(last) {
			last = end
		}
	}
	return last
}
