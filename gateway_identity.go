package culvert

import (
	"net/http"
	"time"

	culvertv1 "github.com/culvert-http/culvert/api/culvert/v1"
)

// WithGatewayAuthenticator has the gateway ask who sends a request, before it
// reads any of its body. What is refused is answered with 403, and its connection
// closed. The request is the application's, its Authorization too: an
// Authenticator of a gateway looks at the connection, as one does that knows
// client certificates. The default is to let everybody in.
func WithGatewayAuthenticator(authenticate Authenticator) GatewayOption {
	return gatewayOptionFunc(func(c *gatewayConfig) { c.authenticate = authenticate })
}

// WithGatewayCredentialGrace sets how long what runs may go on after the
// credential that it came with has ended; then it is cut. The default is
// [DefaultCredentialGrace]; 0 cuts it at once.
func WithGatewayCredentialGrace(d time.Duration) GatewayOption {
	return gatewayOptionFunc(func(c *gatewayConfig) { c.credentialGrace = d })
}

// WithTrustedProxyNames sets the names in client certificates whose holders are
// believed as the proxies of [WithTrustedProxies] are; they are those of
// [WithTrustedNames]. The default is none.
func WithTrustedProxyNames(names ...string) GatewayOption {
	return gatewayOptionFunc(func(c *gatewayConfig) { c.trustedNames = names })
}

// identify finds out who sends the request, and binds it to the credential. It
// returns why the request is refused, or nil and what ends the watch over the
// credential.
func (x *gatewayExchange) identify() (release func(), refused *Error) {
	config := x.gateway.config
	if config.authenticate == nil {
		return func() {}, nil
	}
	identity, err := config.authenticate(x.r)
	if err != nil {
		return nil, refusedIdentity(err)
	}
	x.record.Peer.Identity = identity
	if !identity.ends() {
		return func() {}, nil
	}
	x.r, _, release = identity.bind(x.r, config.credentialGrace)
	return release, nil
}

// refusalOfIdentity is the answer to a client that is not let in. What it would
// have to show is nothing of HTTP's, so that it is not 401.
func refusalOfIdentity(err *Error) *gatewayRefusal {
	refusal := &gatewayRefusal{
		gatewayStatus: gatewayStatus{http.StatusForbidden, "http_request_denied"},
		text:          "the gateway does not know this client",
		closes:        true,
	}
	if err.Cause == culvertv1.Cause_CAUSE_PERMISSION_DENIED {
		refusal.text = "this client may not use the gateway"
	}
	return refusal
}
