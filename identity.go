package culvert

import (
	"context"
	"crypto/tls"
	"errors"
	"maps"
	"net/http"
	"time"

	culvertv1 "github.com/culvert-http/culvert/api/culvert/v1"
	"github.com/culvert-http/culvert/internal/peername"
)

// Identity is who calls an RPC, as whoever has checked the credentials found out.
// The zero value is nobody in particular.
type Identity struct {
	// Name is what the caller is known by: for logs, and for the inner handler.
	Name string
	// Trusted says that the caller is believed in what it says of its own clients,
	// as the peers of [WithTrustedNetworks] are. In a [Peer] it is set for those
	// as well.
	Trusted bool
	// Expires is when the credential ends; the zero time is never.
	Expires time.Time
	// Revoked is done when the credential ends for another reason; nil is never.
	Revoked context.Context //nolint:containedctx // it is the credential's, and nothing is called with it
}

type identityKey struct{}

// WithIdentity returns a context for requests to a [Handler], which tells it who
// calls. It is for middleware around the handler that has checked credentials by
// itself:
//
//	ctx := culvert.WithIdentity(r.Context(), culvert.Identity{Name: user, Expires: token.Expiry})
//	handler.ServeHTTP(w, r.WithContext(ctx))
//
// When the credential ends, the session that it opened takes no more exchanges,
// and after the grace of [WithCredentialGrace] all that still runs under it ends
// as unauthenticated.
func WithIdentity(ctx context.Context, identity Identity) context.Context {
	return context.WithValue(ctx, identityKey{}, &identity)
}

// An Authenticator says who sends a request, by its header section and its
// connection alone: it must not read the body. It is called at the same time for
// different requests. An error refuses the request as unauthenticated, or for
// another cause if it is an *[Error]; its text goes to the log and not to the
// client.
type Authenticator func(*http.Request) (Identity, error)

// WithAuthenticator has the handler ask who calls before it reads any message of
// an RPC, and answer what is refused in the protocol of the call. A session is
// asked about once, when it begins. The default is to let everybody in, as whom
// [WithIdentity] says.
func WithAuthenticator(authenticate Authenticator) HandlerOption {
	return handlerOptionFunc(func(c *handlerConfig) { c.authenticate = authenticate })
}

// WithTrustedNames sets the names in client certificates whose holders are
// trusted as those of [WithTrustedNetworks] are: DNS names, such as
// gateway.example or *.mesh.example, and URIs, such as
// spiffe://example.org/gateway; a URI may end with /*. They count in
// certificates that the server has verified, and in no others. The default is
// none.
func WithTrustedNames(names ...string) HandlerOption {
	return handlerOptionFunc(func(c *handlerConfig) { c.trustedNames = names })
}

// WithCredentialGrace sets how long what runs may go on after the credential of
// its RPC has ended. The default is [DefaultCredentialGrace]; 0 ends it at once.
func WithCredentialGrace(d time.Duration) HandlerOption {
	return handlerOptionFunc(func(c *handlerConfig) { c.credentialGrace = d })
}

// challenge goes along with a refusal, as RFC 9110 § 15.5.2 wants it.
const challenge = "Bearer"

// identify finds out who calls, or why the call is refused.
func (h *Handler) identify(r *http.Request) (Identity, *Error) {
	var identity Identity
	if known, ok := r.Context().Value(identityKey{}).(*Identity); ok {
		identity = *known
	}
	if h.config.authenticate != nil {
		var err error
		if identity, err = h.config.authenticate(r); err != nil {
			return Identity{}, refusedIdentity(err)
		}
	}
	identity.Trusted = identity.Trusted || h.trusts(r.RemoteAddr) || h.trustsCertificate(r.TLS)
	return identity, nil
}

// withoutCredentials returns the header section of an RPC as the inner handler may
// see it: what the Authenticator has read is not for it.
func withoutCredentials(header http.Header) http.Header {
	if _, ok := header["Authorization"]; !ok {
		return header
	}
	header = maps.Clone(header)
	delete(header, "Authorization")
	return header
}

func refusedIdentity(err error) *Error {
	if refused := (*Error)(nil); errors.As(err, &refused) {
		return refused
	}
	return &Error{Cause: culvertv1.Cause_CAUSE_UNAUTHENTICATED, Err: err}
}

// trustsCertificate reports whether the connection shows a verified certificate
// that has one of the trusted names.
func (h *Handler) trustsCertificate(state *tls.ConnectionState) bool {
	return len(h.trustedNames) > 0 && h.trustedNames.MatchVerified(state)
}

var errCredentialEnded = &Error{
	Cause:  culvertv1.Cause_CAUSE_UNAUTHENTICATED,
	Err:    errors.New("the credential has ended"),
	Public: true,
}

// follow binds the call to its credential. Release ends what watches over that.
func (c *rpc) follow(grace time.Duration) (release func()) {
	identity := &c.peer.Identity
	if !identity.ends() {
		return func() {}
	}
	c.request, c.valid, release = identity.bind(c.request, grace)
	return release
}

// ends reports whether the credential can end.
func (i *Identity) ends() bool { return !i.Expires.IsZero() || i.Revoked != nil }

// bind binds a request to the credential that it came with: its context is
// cancelled when the grace after the credential's end is over. Valid is done at
// that end. Release ends what watches over it.
func (i *Identity) bind(r *http.Request, grace time.Duration) (bound *http.Request, valid context.Context, release func()) {
	valid, releaseValid := i.validity()
	ctx, cut := context.WithCancelCause(r.Context())
	stop := context.AfterFunc(valid, func() {
		over := time.NewTimer(grace)
		defer over.Stop()
		select {
		case <-over.C:
			cut(errCredentialEnded)
		case <-ctx.Done():
		}
	})
	return r.WithContext(ctx), valid, func() {
		stop()
		releaseValid()
		cut(nil)
	}
}

// validity returns a context that is done when the credential has ended.
func (i *Identity) validity() (context.Context, context.CancelFunc) {
	valid := i.Revoked
	if valid == nil {
		valid = context.Background()
	}
	if i.Expires.IsZero() {
		return context.WithCancel(valid)
	}
	return context.WithDeadline(valid, i.Expires)
}

// credentialEnded reports whether the credential that the call came with holds no
// longer.
func (c *rpc) credentialEnded() bool { return c.valid != nil && c.valid.Err() != nil }

// compileNames panics where a name of an option makes no sense, as all options do.
func compileNames(option string, names []string) peername.List {
	list, err := peername.Parse(names)
	if err != nil {
		panic("culvert: " + option + ": " + err.Error())
	}
	return list
}
