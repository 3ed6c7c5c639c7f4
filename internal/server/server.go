// Package server listens: one mux with the tunnel, health and reflection on it,
// HTTP/1.1 and HTTP/2 on one port, with TLS or without, web pages of other
// origins, the bounds of connections, and draining.
package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/culvert-http/culvert"
	"github.com/culvert-http/culvert/internal/connwatch"
	"github.com/culvert-http/culvert/internal/resets"
)

// streamSlack is how many streams a connection may have beyond its exchanges: for
// health and reflection, and so that the tunnel's refusal, which says what the
// limit is, comes before HTTP/2's, which only makes clients wait.
const streamSlack = 100

// Default bounds of connections.
const (
	// DefaultMaxConns is twice the tunnel's exchanges: on HTTP/1.1 each has a
	// connection of its own.
	DefaultMaxConns = 20_000
	// DefaultMaxConnsPerPeer keeps one address from having all of them.
	DefaultMaxConnsPerPeer = 5000
	// DefaultMaxResetsPerConn is what Envoy has.
	DefaultMaxResetsPerConn = 500
	// DefaultResetRatePerPeer is that of requests that are taken back.
	DefaultResetRatePerPeer = resets.DefaultPerSecond
	// DefaultHeaderTimeout is how long a client may take to send the header section
	// of a request on HTTP/1.1, the preface of HTTP/2, and the handshake of TLS.
	DefaultHeaderTimeout = 10 * time.Second
	// DefaultMaxHeaderBytes bounds the header section of a request: the metadata of
	// an RPC. The heads of tunnelled requests are in its messages and have a bound of
	// their own.
	DefaultMaxHeaderBytes = 64 << 10
	// DefaultConnIdleTimeout is how long a connection without any request stays.
	DefaultConnIdleTimeout = 5 * time.Minute
	// DefaultPingInterval is after how much silence a client of HTTP/2 is asked
	// whether it is still there.
	DefaultPingInterval = 30 * time.Second
)

// DefaultStallTimeout is how long a connection may take none of what is to be
// written to it.
const DefaultStallTimeout = culvert.DefaultStallTimeout

// Drainer is a handler that can be told to take no more.
type Drainer interface {
	http.Handler
	// Shutdown refuses what is new and waits for what runs, until ctx is done; it
	// then returns the error of ctx.
	Shutdown(ctx context.Context) error
}

// Config says what a [Server] serves.
type Config struct {
	// Pattern and Handler are what is mounted, as culvert.NewHandler returns them.
	// Everything else is answered with 404 and a hint. With the pattern "/" there is
	// nothing else: the handler gets all requests, "OPTIONS *" too, but for those to
	// ReadyPath and LivePath, and neither health nor reflection is served.
	Pattern string
	Handler Drainer
	// Services are the names of the RPC services that Handler serves, for health
	// and reflection.
	Services []string
	// Health serves grpc.health.v1, and turns to NOT_SERVING when the server
	// drains. Nil means that it is not served.
	Health *Health
	// ReadyPath answers a GET with 200 while Health is SERVING, which must not be nil
	// then, and with 503 otherwise. LivePath always answers with 200. Empty means
	// that there is no such path. See [ValidateStatePaths].
	ReadyPath, LivePath string
	// Reflection serves grpc.reflection.v1 and v1alpha.
	Reflection bool
	// Authenticate, if not nil, says who may use reflection. Handler asks for
	// credentials by itself; health and the paths below are for everybody.
	Authenticate culvert.Authenticator
	// AnyHost turns off the check of the Host field on loopback listeners.
	AnyHost bool
	// Authorities are the values of Host, with or without a port, that are
	// accepted on a loopback listener beside the names of the loopback itself.
	Authorities []string
	// CORS lets web pages of other origins in. It must be valid.
	CORS CORS
	// TLS has every connection be secured by it; it must have a certificate. It is
	// cloned. HTTP/2 and HTTP/1.1 are offered to clients by ALPN. Nil means no TLS.
	TLS *tls.Config
	// HandOver says that somebody else listens on the same address when the server
	// drains: it closes its listener then, before it refuses anything, so that
	// clients that come again reach the successor.
	HandOver bool
	// MaxConns and MaxConnsPerPeer bound the connections, in all and of one address,
	// which is a network of 64 bits of IPv6. One more is answered with 503, or the
	// RPC error for it, and closed; when too many come at once, it is closed without
	// an answer. 0 means the default, and less than 0 no bound.
	MaxConns, MaxConnsPerPeer int
	// MaxResetsPerConn bounds the requests of an HTTP/2 connection that its client
	// takes back within a second, where they are more than half of all. Over it the
	// connection is refused what it asks for, and closed. 0 means the default, and
	// less than 0 no bound.
	MaxResetsPerConn int
	// ResetRatePerPeer bounds the requests of HTTP/2 of one address that come to
	// nothing within a second of their beginning, because its client takes them back or
	// makes a mistake in them: so many a second, two seconds' worth at once, and as
	// many as are answered on the same connection. Over it the connection is read as
	// slowly as that, and closed if that would be ten seconds. 0 means the default, and
	// less than 0 no bound.
	ResetRatePerPeer float64
	// HeaderTimeout is [DefaultHeaderTimeout] if 0. It bounds the time of a body that
	// no handler reads as well, and of a connection that is refused.
	HeaderTimeout time.Duration
	// MaxHeaderBytes is [DefaultMaxHeaderBytes] if 0. Net/http adds some slack on
	// HTTP/1.1.
	MaxHeaderBytes int
	// ConnIdleTimeout is [DefaultConnIdleTimeout] if 0; less than 0 means no bound.
	ConnIdleTimeout time.Duration
	// StallTimeout is [DefaultStallTimeout] if 0; less than 0 means no bound. It is
	// for connections of HTTP/2 as a whole: of one exchange it is the handler's.
	StallTimeout time.Duration
	// PingInterval is [DefaultPingInterval] if 0. Less than 0 turns pings off, so
	// that a client that vanished is not noticed.
	PingInterval time.Duration
	// MaxExchangesPerConn is the tunnel's bound, from which the number of streams
	// of an HTTP/2 connection follows. 0 means the tunnel's default.
	MaxExchangesPerConn int
	// Logger gets what goes wrong with connections. Nil means slog.Default().
	Logger *slog.Logger
}

// Server serves a tunnel. Its methods may be called concurrently.
type Server struct {
	config Config
	http   *http.Server
	// arrivals are the tunnel's RPCs.
	arrivals arrivals
	// unused are the connections that no request has come on.
	unused unusedConns
	resets *resets.Bound
	// closing is done when the tunnel has drained: what else is open, a watched
	// health or a reflection stream, ends then.
	closing context.Context
	close   context.CancelFunc

	mu       sync.Mutex
	listener *handover // the last one, if it is handed over
}

// New returns a server that does not listen yet. It fails where the Go runtime
// that it was built with does not speak HTTP/2 as configured.
func New(config Config) (*Server, error) {
	if config.Logger == nil {
		config.Logger = slog.Default()
	}
	config.setBounds()
	closing, closeAll := context.WithCancel(context.Background())
	s := &Server{config: config, closing: closing, close: closeAll}
	if config.ResetRatePerPeer > 0 {
		s.resets = resets.New(config.ResetRatePerPeer)
	}
	s.http = s.newHTTPServer()
	s.http.RegisterOnShutdown(s.unused.close)
	if err := checkWindows(s.http.HTTP2); err != nil {
		closeAll()
		return nil, fmt.Errorf("check flow control of HTTP/2: %w", err)
	}
	return s, nil
}

// setBounds puts the defaults where there is 0, and 0, which is no bound to
// net/http, where there is less.
func (c *Config) setBounds() {
	c.MaxConns = boundOr(c.MaxConns, DefaultMaxConns)
	c.MaxConnsPerPeer = boundOr(c.MaxConnsPerPeer, DefaultMaxConnsPerPeer)
	c.MaxResetsPerConn = boundOr(c.MaxResetsPerConn, DefaultMaxResetsPerConn)
	c.ResetRatePerPeer = boundOr(c.ResetRatePerPeer, DefaultResetRatePerPeer)
	c.HeaderTimeout = boundOr(c.HeaderTimeout, DefaultHeaderTimeout)
	c.MaxHeaderBytes = boundOr(c.MaxHeaderBytes, DefaultMaxHeaderBytes)
	c.ConnIdleTimeout = boundOr(c.ConnIdleTimeout, DefaultConnIdleTimeout)
	c.StallTimeout = boundOr(c.StallTimeout, DefaultStallTimeout)
	c.PingInterval = boundOr(c.PingInterval, DefaultPingInterval)
	c.MaxExchangesPerConn = boundOr(c.MaxExchangesPerConn, culvert.DefaultMaxExchangesPerConn)
}

func boundOr[T int | float64 | time.Duration](bound, other T) T {
	if bound == 0 {
		return other
	}
	return max(bound, 0)
}

func (s *Server) newHTTPServer() *http.Server {
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true) // with TLS as well: see tlsListener
	handler := closeInDoubt(s.boundUnread(checkConn(s.checkResets(s.checkHost(s.config.CORS.handler(s.routes()))))))
	if s.config.TLS != nil {
		handler = setTLS(handler)
	}
	return &http.Server{
		Handler:           handler,
		Protocols:         &protocols,
		HTTP2:             newHTTP2Config(&s.config),
		ReadHeaderTimeout: s.config.HeaderTimeout,
		IdleTimeout:       s.config.ConnIdleTimeout,
		MaxHeaderBytes:    s.config.MaxHeaderBytes,
		// ReadTimeout and WriteTimeout count for each HTTP/2 stream from its start,
		// and would end long exchanges.
		ErrorLog:    slog.NewLogLogger(s.config.Logger.Handler(), slog.LevelWarn),
		BaseContext: withListener,
		ConnContext: func(ctx context.Context, conn net.Conn) context.Context {
			return connwatch.ConnContext(withRequests(withRefusal(withSecured(ctx, conn), conn)), conn)
		},
		ConnState: s.unused.note,
		// Where the handler gets everything, this is for it as well. And net/http's own
		// answer would wait for a body without any bound on time.
		DisableGeneralOptionsHandler: true,
	}
}

// Serve accepts connections until [Server.Shutdown] or [Server.Close], and then
// returns nil at once, before they have finished. It closes the listener.
func (s *Server) Serve(listener net.Listener) error {
	if s.config.HandOver {
		left := &handover{Listener: listener, server: s}
		s.mu.Lock()
		s.listener = left
		s.mu.Unlock()
		listener = left
	}
	listener = &boundedListener{
		Listener: listener,
		bounds:   newConnBounds(s.config.MaxConns, s.config.MaxConnsPerPeer),
		refusal:  s.config.HeaderTimeout,
	}
	if s.config.TLS != nil {
		listener = s.withTLS(listener)
	}
	err := s.http.Serve(connwatch.Listener{Listener: listener, Resets: s.resets})
	if s.closing.Err() != nil || errors.Is(err, http.ErrServerClosed) {
		return nil //nolint:nilerr // a listener that was handed over fails when all is over
	}
	return fmt.Errorf("serve %s: %w", listener.Addr(), err)
}

// Close ends everything at once.
func (s *Server) Close() error {
	s.close()
	return s.http.Close()
}
