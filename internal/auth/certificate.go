package auth

import (
	"context"
	"crypto/tls"
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
	// Authorities say which certificates still hold. Nil means that those do that
	// held when their connection began.
	Authorities Authorities
}

// Authorities are those of the listener, which may change.
type Authorities interface {
	// Verifies reports whether a connection whose client was verified when it began
	// still would be. The context is done when it would not be any more.
	Verifies(state *tls.ConnectionState) (while context.Context, ok bool)
}

var (
	errNoCertificate = missingError("no verified client certificate")
	errName          = errors.New("the client certificate has none of the names that are allowed")
	errExpired       = errors.New("the client certificate has expired")
	errAuthorityGone = errors.New("the client certificate is of no authority any more")
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
	// What held at the handshake need not hold now: connections live long.
	identity := culvert.Identity{Name: peername.NameOf(leaf), Expires: expiryOf(r.TLS.VerifiedChains)}
	if !time.Now().Before(identity.Expires) {
		return culvert.Identity{}, outdated(errExpired)
	}
	if c.Authorities != nil {
		var verified bool
		if identity.Revoked, verified = c.Authorities.Verifies(r.TLS); !verified {
			return culvert.Identity{}, outdated(errAuthorityGone)
		}
	}
	return identity, nil
}

// outdated is the error of a certificate in whose place the client may have
// another by now, on another connection.
func outdated(err error) error {
	return &culvert.Error{Cause: culvertv1.Cause_CAUSE_UNAUTHENTICATED, NotStarted: true, Err: err}
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
