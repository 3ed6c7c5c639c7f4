package culvert

import (
	"context"
	"net/http"

	"github.com/culvert-http/culvert/internal/connwatch"
	"github.com/culvert-http/culvert/internal/peername"
)

// Gateway is the plain HTTP end of the tunnel: an [http.Handler] that sends
// every request through an [http.RoundTripper] and gives back the response as it
// comes, so that any HTTP client can use the tunnel. It takes HTTP/1.0, HTTP/1.1
// and HTTP/2, with full duplex, trailers both ways, 1xx responses, Expect and, on
// HTTP/1.1, Upgrade.
//
// What does not survive a hop is handled here: hop-by-hop fields, the fields that
// say for whom a request is forwarded, Via, by which loops are noticed, and
// responses that could be taken for two. A failure of the tunnel before the response's head
// is answered with a status and a Proxy-Status field [RFC 9209]; after the head
// it cuts the response, so that nobody takes a part for the whole.
//
// The handler wants the ResponseWriter of net/http's server, or one that unwraps
// to it as [http.ResponseController] expects. A server that shall pass "OPTIONS *"
// on sets DisableGeneralOptionsHandler.
type Gateway struct {
	transport http.RoundTripper
	config    *gatewayConfig
	via       gatewayVia
	admission *admission
	rates     *peerRates
	stalls    stalls
	// trustedNames are those of WithTrustedProxyNames.
	trustedNames peername.List
}

// NewGateway returns a gateway that sends its requests through rt. It does not
// close rt. Any RoundTripper will do; an [http.Transport] should have
// DisableCompression set, for it asks for gzip in the client's place otherwise.
func NewGateway(rt http.RoundTripper, opts ...GatewayOption) *Gateway {
	config := newGatewayConfig(opts)
	return &Gateway{
		transport: rt,
		config:    config,
		via:       newGatewayVia(),
		admission: newAdmission("exchanges", config.maxRequests, config.maxRequests, config.maxWait),
		rates:     newPeerRates(config.ratePerClient, config.burstPerClient),
		stalls:    stalls{timeout: config.stallTimeout},

		trustedNames: compileNames("WithTrustedProxyNames", config.trustedNames),
	}
}

// ServeHTTP implements [http.Handler]. It panics with [http.ErrAbortHandler]
// where a response must be cut short.
func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if connwatch.InDoubt(r) {
		w.Header().Set("Connection", "close")
	}
	x := newGatewayExchange(g, w, r)
	defer x.w.finish()
	release, err := x.identify()
	if err != nil {
		x.turnAway(refusalOfIdentity(err), err)
		return
	}
	defer release()
	if err := g.enter(x); err != nil {
		x.turnAway(refusalOfAdmission(err), err)
		return
	}
	defer g.admission.leave("")
	defer x.observe()
	defer x.release() // also where the RoundTripper panics
	if whole := x.run(); !whole {
		x.cut()
	}
	x.settle()
}

// turnAway answers a request that does not begin.
func (x *gatewayExchange) turnAway(refusal *gatewayRefusal, err *Error) {
	x.decline(refusal)
	x.record.Err = err
	x.observe()
	x.settle()
}

// Shutdown refuses new requests with 503, and waits until the running ones have
// ended, upgraded connections among them, or ctx is done; it then returns the
// error of ctx. It may be called more than once.
func (g *Gateway) Shutdown(ctx context.Context) error {
	return g.admission.drain(ctx)
}

// enter admits an exchange, which must leave the admission again, or says why
// not.
func (g *Gateway) enter(x *gatewayExchange) *Error {
	if g.rates != nil {
		if err := g.rates.take(x.rateKey()); err != nil {
			return err
		}
	}
	return g.admission.enter(x.r.Context(), "")
}
