package culvert

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"time"

	"connectrpc.com/connect"
)

// A HandlerOption configures a [Handler].
type HandlerOption interface {
	applyToHandler(*handlerConfig)
}

type handlerOptionFunc func(*handlerConfig)

func (f handlerOptionFunc) applyToHandler(config *handlerConfig) { f(config) }

type handlerConfig struct {
	maxHeadBytes        int
	maxFields           int
	maxBodyBytes        int
	maxExchanges        int
	maxExchangesPerConn int
	maxWait             time.Duration
	ratePerPeer         float64
	burstPerPeer        int
	headTimeout         time.Duration
	idleTimeout         time.Duration
	stallTimeout        time.Duration
	maxDuration         time.Duration
	sessionMode         SessionMode
	sessionAge          time.Duration
	maxSessions         int
	maxSessionBytes     int
	upgrades            []string
	trusted             []netip.Prefix
	trustedNames        []string
	authenticate        Authenticator
	credentialGrace     time.Duration
	observe             func(context.Context, Record)
	logger              *slog.Logger
	connectOptions      []connect.HandlerOption
}

// Default bounds of a [Handler], each with an option that changes it.
const (
	DefaultMaxHeadBytes        = 64 << 10
	DefaultMaxFields           = 1000
	DefaultMaxBodyBytes        = 3 << 20
	DefaultMaxExchanges        = 10_000
	DefaultMaxExchangesPerConn = 1000
	DefaultHeadTimeout         = 10 * time.Second
	DefaultIdleTimeout         = 5 * time.Minute
	DefaultStallTimeout        = 5 * time.Minute
	DefaultSessionAge          = 5 * time.Minute
	DefaultMaxSessions         = 10_000
	DefaultCredentialGrace     = 10 * time.Second
)

func newHandlerConfig(opts []HandlerOption) *handlerConfig {
	config := &handlerConfig{
		maxHeadBytes:        DefaultMaxHeadBytes,
		maxFields:           DefaultMaxFields,
		maxBodyBytes:        DefaultMaxBodyBytes,
		maxExchanges:        DefaultMaxExchanges,
		maxExchangesPerConn: DefaultMaxExchangesPerConn,
		headTimeout:         DefaultHeadTimeout,
		idleTimeout:         DefaultIdleTimeout,
		stallTimeout:        DefaultStallTimeout,
		sessionAge:          DefaultSessionAge,
		maxSessions:         DefaultMaxSessions,
		maxSessionBytes:     DefaultMaxSessionBytes,
		credentialGrace:     DefaultCredentialGrace,
		upgrades:            []string{"websocket"},
		logger:              slog.Default(),
	}
	for _, opt := range opts {
		opt.applyToHandler(config)
	}
	config.validate()
	return config
}

// validate panics where an option makes no sense: that is a mistake in the
// program, which shows at its start.
func (c *handlerConfig) validate() {
	for _, bound := range []struct {
		name  string
		value int
	}{
		{"WithMaxHeadBytes", c.maxHeadBytes},
		{"WithMaxFields", c.maxFields},
		{"WithMaxBodyBytes", c.maxBodyBytes},
		{"WithMaxExchanges", c.maxExchanges},
		{"WithMaxExchangesPerConn", c.maxExchangesPerConn},
		{"WithMaxSessions", c.maxSessions},
		{"WithMaxSessionBytes", c.maxSessionBytes},
	} {
		if bound.value <= 0 {
			panic(fmt.Sprintf("culvert: %s: %d is not positive", bound.name, bound.value))
		}
	}
	for _, bound := range []struct {
		name  string
		value time.Duration
	}{
		{"WithMaxWait", c.maxWait},
		{"WithHeadTimeout", c.headTimeout},
		{"WithIdleTimeout", c.idleTimeout},
		{"WithStallTimeout", c.stallTimeout},
		{"WithMaxDuration", c.maxDuration},
		{"WithSessionAge", c.sessionAge},
		{"WithCredentialGrace", c.credentialGrace},
	} {
		if bound.value < 0 {
			panic(fmt.Sprintf("culvert: %s: %s is negative", bound.name, bound.value))
		}
	}
	if err := validateRate(c.ratePerPeer, c.burstPerPeer); err != nil {
		panic(fmt.Sprintf("culvert: WithRatePerPeer: %v", err))
	}
}

// WithMaxHeadBytes bounds the head of a request, and its trailer section: the
// bytes of all names and values and of the request target, and 32 for each
// field. The default is [DefaultMaxHeadBytes]. n must be positive.
func WithMaxHeadBytes(n int) HandlerOption {
	return handlerOptionFunc(func(c *handlerConfig) { c.maxHeadBytes = n })
}

// WithMaxFields bounds the number of fields in the head of a request, and in its
// trailer section. The default is [DefaultMaxFields]. n must be positive.
func WithMaxFields(n int) HandlerOption {
	return handlerOptionFunc(func(c *handlerConfig) { c.maxFields = n })
}

// WithMaxBodyBytes bounds the bodies that are buffered: the request's of Call and
// Download, the response's of Call and Upload. The default is
// [DefaultMaxBodyBytes], for clients that receive messages of 4 MiB at most. n
// must be positive. What is streamed has no bound.
func WithMaxBodyBytes(n int) HandlerOption {
	return handlerOptionFunc(func(c *handlerConfig) { c.maxBodyBytes = n })
}

// WithMaxExchanges bounds the number of exchanges that run at the same time, those of
// sessions too. One more is refused, or waits for [WithMaxWait]. The default is
// [DefaultMaxExchanges]. n must be positive. Sessions are bounded by [WithMaxSessions].
func WithMaxExchanges(n int) HandlerOption {
	return handlerOptionFunc(func(c *handlerConfig) { c.maxExchanges = n })
}

// WithMaxExchangesPerConn bounds the number of exchanges that run at the same
// time for one RPC connection. The default is [DefaultMaxExchangesPerConn]. n
// must be positive. It bounds the sessions of a connection too, each for itself.
// Connections are told apart by their remote address; those of a unix socket are not
// told apart, and not bounded by this.
func WithMaxExchangesPerConn(n int) HandlerOption {
	return handlerOptionFunc(func(c *handlerConfig) { c.maxExchangesPerConn = n })
}

// WithMaxWait has exchanges wait, for d at most, for a place among those of
// [WithMaxExchanges]. No more wait than may run, and nothing of their messages is
// read meanwhile. The default, 0, refuses them at once.
func WithMaxWait(d time.Duration) HandlerOption {
	return handlerOptionFunc(func(c *handlerConfig) { c.maxWait = d })
}

// WithRatePerPeer bounds the exchanges that one peer may begin: limit in a
// second over time, and burst at once, which is limit rounded up if 0. One more is
// refused before its messages are read. RPCs of sessions count, and so does each
// exchange in one. A peer is the client certificate that was verified, by its key;
// without one it is the address, of IPv6 the network of 64 bits. A gateway is one
// peer, whoever its clients are; see [WithGatewayRatePerClient]. The rates of
// 16,384 peers are kept; of more, that of the one heard of longest ago is
// forgotten. The default, 0, means no bound. Peers of a unix socket are not told
// apart, and not bounded.
func WithRatePerPeer(limit float64, burst int) HandlerOption {
	return handlerOptionFunc(func(c *handlerConfig) { c.ratePerPeer, c.burstPerPeer = limit, burst })
}

// WithHeadTimeout bounds the time from the start of an RPC until the head of the
// request is there. The default is [DefaultHeadTimeout]; 0 means no bound.
func WithHeadTimeout(d time.Duration) HandlerOption {
	return handlerOptionFunc(func(c *handlerConfig) { c.headTimeout = d })
}

// WithIdleTimeout bounds the time in which nothing moves, in either direction,
// while the handler waits for more of the request's body. The default is
// [DefaultIdleTimeout]; 0 means no bound. An exchange that was upgraded has none.
func WithIdleTimeout(d time.Duration) HandlerOption {
	return handlerOptionFunc(func(c *handlerConfig) { c.idleTimeout = d })
}

// WithStallTimeout bounds the time in which a client takes nothing of what is sent
// to it: of the RPC, or of one exchange in a session. The stream is reset then, so
// that a reader that has stopped does not hold an exchange for ever; it may take a
// quarter more than d. A client that takes less than 256 KiB of a long write in that
// time, or 512 KiB at worst, is one that has stopped. The default is [DefaultStallTimeout]; 0 means no bound. What
// holds up a whole connection of HTTP/2, TCP itself, is for WriteByteTimeout in
// [net/http.HTTP2Config].
func WithStallTimeout(d time.Duration) HandlerOption {
	return handlerOptionFunc(func(c *handlerConfig) { c.stallTimeout = d })
}

// WithMaxDuration bounds the whole time of an exchange. The default, 0, means no
// bound but the client's own deadline.
func WithMaxDuration(d time.Duration) HandlerOption {
	return handlerOptionFunc(func(c *handlerConfig) { c.maxDuration = d })
}

// WithUpgrades sets the protocols that a request may upgrade to. The default is
// websocket alone; none turns upgrades off. A request for another protocol goes
// on without the upgrade.
func WithUpgrades(protocols ...string) HandlerOption {
	return handlerOptionFunc(func(c *handlerConfig) { c.upgrades = protocols })
}

// WithTrustedNetworks sets the networks whose RPC peers are believed when they
// vouch for a client address and a scheme, and whose forwarded fields
// (Forwarded, X-Forwarded-*, X-Real-IP) are passed on. The default is none.
func WithTrustedNetworks(networks ...netip.Prefix) HandlerOption {
	return handlerOptionFunc(func(c *handlerConfig) { c.trusted = networks })
}

// WithObserver has observe called once at the end of every exchange, also of one
// that was refused: for access logs and metrics. It runs on the exchange's
// goroutine. The context is the exchange's, and may be done.
func WithObserver(observe func(context.Context, Record)) HandlerOption {
	return handlerOptionFunc(func(c *handlerConfig) { c.observe = observe })
}

// WithLogger sets where panics of the inner handler and its misuse of the
// ResponseWriter are logged. The default is slog.Default().
func WithLogger(logger *slog.Logger) HandlerOption {
	return handlerOptionFunc(func(c *handlerConfig) { c.logger = logger })
}

// WithConnectOptions passes options to the handlers of connect that carry the
// RPCs: interceptors, compression, codecs. They come after Culvert's own, and so
// can override them. Interceptors see the messages of a session, but not what is in
// them.
func WithConnectOptions(opts ...connect.HandlerOption) HandlerOption {
	return handlerOptionFunc(func(c *handlerConfig) {
		c.connectOptions = append(c.connectOptions, opts...)
	})
}

// SessionMode says what a [Handler] makes of sessions.
type SessionMode int

// The modes of [WithSessions].
const (
	// SessionsRecommend has clients use sessions, unless their RPCs come through an
	// intermediary. It is the default.
	SessionsRecommend SessionMode = iota
	// SessionsAllow takes sessions and does not ask for them.
	SessionsAllow
	// SessionsOff refuses sessions.
	SessionsOff
)

var (
	sessionModeNames      = []string{"recommend", "allow", "off"}
	errUnknownSessionMode = errors.New("unknown mode of sessions: have recommend, allow, off")
)

// String returns the name of the mode, as command lines have it.
func (m SessionMode) String() string {
	if m < 0 || int(m) >= len(sessionModeNames) {
		return "unknown"
	}
	return sessionModeNames[m]
}

// UnmarshalText implements encoding.TextUnmarshaler. It takes what String gives.
func (m *SessionMode) UnmarshalText(text []byte) error {
	i := slices.Index(sessionModeNames, string(text))
	if i < 0 {
		return errUnknownSessionMode
	}
	*m = SessionMode(i)
	return nil
}

// WithSessions sets what the handler makes of sessions. The default is
// [SessionsRecommend].
func WithSessions(mode SessionMode) HandlerOption {
	return handlerOptionFunc(func(c *handlerConfig) { c.sessionMode = mode })
}

// WithSessionAge sets when a session takes no more exchanges and ends with its
// last one, so that connections are balanced anew: at the age d, give or take a
// fifth. The default is [DefaultSessionAge]; 0 means never.
func WithSessionAge(d time.Duration) HandlerOption {
	return handlerOptionFunc(func(c *handlerConfig) { c.sessionAge = d })
}

// WithMaxSessions bounds the number of sessions that are open at the same time,
// whether exchanges run in them or not. One more is refused, and clients that may
// choose send each exchange in an RPC of its own. The default is [DefaultMaxSessions].
// n must be positive. A session without exchanges costs the server some 50 KiB.
func WithMaxSessions(n int) HandlerOption {
	return handlerOptionFunc(func(c *handlerConfig) { c.maxSessions = n })
}
