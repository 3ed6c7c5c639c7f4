package culvert

import (
	"context"
	"fmt"
	"net/netip"
	"time"
)

// A GatewayOption configures a [Gateway].
type GatewayOption interface {
	applyToGateway(*gatewayConfig)
}

type gatewayOptionFunc func(*gatewayConfig)

func (f gatewayOptionFunc) applyToGateway(config *gatewayConfig) { f(config) }

type gatewayConfig struct {
	maxRequests int
	maxHops     int

	maxWait        time.Duration
	ratePerClient  float64
	burstPerClient int
	idleTimeout    time.Duration
	stallTimeout   time.Duration
	maxDuration    time.Duration

	authenticate    Authenticator
	credentialGrace time.Duration

	trusted      []netip.Prefix
	trustedNames []string
	observe      func(context.Context, Record)
}

// Default bounds of a [Gateway], each with an option that changes it. The size of
// a request's head is bounded by the [net/http.Server] in front.
const (
	DefaultMaxRequests = 10_000
	DefaultMaxHops     = 8
)

// A gateway's times are those of a [Handler]: [DefaultIdleTimeout],
// [DefaultStallTimeout].

func newGatewayConfig(opts []GatewayOption) *gatewayConfig {
	config := &gatewayConfig{
		maxRequests: DefaultMaxRequests,
		maxHops:     DefaultMaxHops,

		idleTimeout:  DefaultIdleTimeout,
		stallTimeout: DefaultStallTimeout,

		credentialGrace: DefaultCredentialGrace,
	}
	for _, opt := range opts {
		opt.applyToGateway(config)
	}
	config.validate()
	return config
}

// validate panics where an option makes no sense: that is a mistake in the
// program, which shows at its start.
func (c *gatewayConfig) validate() {
	if c.maxRequests <= 0 {
		panic(fmt.Sprintf("culvert: WithMaxRequests: %d is not positive", c.maxRequests))
	}
	if c.maxHops <= 0 {
		panic(fmt.Sprintf("culvert: WithMaxHops: %d is not positive", c.maxHops))
	}
	for _, bound := range []struct {
		name  string
		value time.Duration
	}{
		{"WithGatewayMaxWait", c.maxWait},
		{"WithGatewayIdleTimeout", c.idleTimeout},
		{"WithGatewayStallTimeout", c.stallTimeout},
		{"WithGatewayMaxDuration", c.maxDuration},
		{"WithGatewayCredentialGrace", c.credentialGrace},
	} {
		if bound.value < 0 {
			panic(fmt.Sprintf("culvert: %s: %s is negative", bound.name, bound.value))
		}
	}
	if err := validateRate(c.ratePerClient, c.burstPerClient); err != nil {
		panic(fmt.Sprintf("culvert: WithGatewayRatePerClient: %v", err))
	}
}

// WithMaxRequests bounds the number of requests that run at the same time,
// upgraded connections among them. One more is answered with 503 and Retry-After.
// The default is [DefaultMaxRequests]. n must be positive.
func WithMaxRequests(n int) GatewayOption {
	return gatewayOptionFunc(func(c *gatewayConfig) { c.maxRequests = n })
}

// WithMaxHops bounds how many gateways of Culvert a request may pass, this one
// included, and culvert serve where it forwards to an upstream; over it, the
// request is taken for a loop and answered with 508. Each leaves an entry in the
// request's Via field. One that has passed this very gateway before is answered
// so whatever the bound. The default is [DefaultMaxHops]. n must be positive; 1
// allows no gateway before this one.
func WithMaxHops(n int) GatewayOption {
	return gatewayOptionFunc(func(c *gatewayConfig) { c.maxHops = n })
}

// WithGatewayMaxWait has requests wait, for d at most, for a place among those of
// [WithMaxRequests]. No more wait than may run, and nothing of their bodies is
// read meanwhile. The default, 0, refuses them at once.
func WithGatewayMaxWait(d time.Duration) GatewayOption {
	return gatewayOptionFunc(func(c *gatewayConfig) { c.maxWait = d })
}

// WithGatewayRatePerClient bounds the requests that one client may begin: limit in
// a second over time, and burst at once, which is limit rounded up if 0. One more
// is answered with 429 and Retry-After, before its body is read. Clients are told
// apart as [WithRatePerPeer] tells peers apart; behind a trusted proxy, by the
// address that it says it forwards for. The default, 0, means no bound.
func WithGatewayRatePerClient(limit float64, burst int) GatewayOption {
	return gatewayOptionFunc(func(c *gatewayConfig) { c.ratePerClient, c.burstPerClient = limit, burst })
}

// WithGatewayIdleTimeout bounds the time in which nothing moves, in either
// direction, while the request's body is waited for. The request is then answered
// with 408, or its response cut. The default is [DefaultIdleTimeout]; 0 means no
// bound. A connection that was upgraded has none.
func WithGatewayIdleTimeout(d time.Duration) GatewayOption {
	return gatewayOptionFunc(func(c *gatewayConfig) { c.idleTimeout = d })
}

// WithGatewayStallTimeout bounds the time in which a client takes nothing of its
// response, or of what is sent on its upgraded connection, which is cut then, or
// after a quarter more than d. The default is [DefaultStallTimeout]; 0 means no
// bound.
func WithGatewayStallTimeout(d time.Duration) GatewayOption {
	return gatewayOptionFunc(func(c *gatewayConfig) { c.stallTimeout = d })
}

// WithGatewayMaxDuration bounds the whole time of a request, that of an upgraded
// connection too. It is answered with 504, or its response cut. The default, 0,
// means no bound.
func WithGatewayMaxDuration(d time.Duration) GatewayOption {
	return gatewayOptionFunc(func(c *gatewayConfig) { c.maxDuration = d })
}

// WithTrustedProxies sets the networks of the proxies in front of the gateway
// that are believed when they say for whom they forward a request. Their fields
// Forwarded, X-Forwarded-*, X-Real-IP and others (docs/protocol.md, section 12.1)
// are passed on, and the client's address and scheme are taken from their
// X-Forwarded-For and X-Forwarded-Proto. Those of everybody else are dropped, in
// any spelling. The default is none.
func WithTrustedProxies(networks ...netip.Prefix) GatewayOption {
	return gatewayOptionFunc(func(c *gatewayConfig) { c.trusted = networks })
}

// WithGatewayObserver has observe called once at the end of every exchange, also
// of one that was refused: for access logs and metrics. It runs on the
// exchange's goroutine. The context is the request's, and may be done. The
// record's Peer is the HTTP client: Protocol is its version of HTTP, such as
// HTTP/1.1, Method is empty, and Header is the request's own.
func WithGatewayObserver(observe func(context.Context, Record)) GatewayOption {
	return gatewayOptionFunc(func(c *gatewayConfig) { c.observe = observe })
}
