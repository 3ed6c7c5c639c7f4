// Package upstream forwards requests to an application's server, over HTTP/1.1
// or HTTP/2, so that nothing is lost on the way: both bodies stream at the same
// time, trailers, interim responses and upgrades pass, and a response that was
// cut short stays cut short.
//
// HTTP/2 goes through [net/http.Transport]. HTTP/1.1 has a client of its own,
// since the one of net/http loses the response of a server that answers and
// closes while the request is still being written, holds such a response back
// for 50 ms where it has no body, and cannot send every request target as it is.
// [net/http/httputil.ReverseProxy] has these faults too, and flushes a head only
// with the first bytes of the body.
package upstream

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"time"
)

// Defaults of [Options].
const (
	DefaultDialTimeout            = 10 * time.Second
	DefaultExpectContinueTimeout  = time.Second
	DefaultIdleTimeout            = 4 * time.Second
	DefaultMaxIdleConns           = 1024
	DefaultMaxResponseHeaderBytes = 256 << 10
)

// Options configures a [Proxy]. The zero value is ready for use.
type Options struct {
	// DialTimeout bounds opening a connection, a TLS handshake included. 0 means
	// DefaultDialTimeout.
	DialTimeout time.Duration
	// ResponseHeaderTimeout bounds the time from the end of the request to the
	// head of the response. Interim responses do not extend it. 0 means no bound.
	ResponseHeaderTimeout time.Duration
	// ExpectContinueTimeout is how long the body of a request with Expect:
	// 100-continue is held back while the upstream says nothing. 0 means
	// DefaultExpectContinueTimeout.
	ExpectContinueTimeout time.Duration
	// IdleTimeout is how long an HTTP/1.1 connection is kept unused. Under the 5
	// seconds after which uvicorn, Node and Apache close theirs, it keeps a
	// request from meeting a connection that is about to close. 0 means
	// DefaultIdleTimeout.
	IdleTimeout time.Duration
	// MaxIdleConns bounds the number of HTTP/1.1 connections that are kept unused.
	// 0 means DefaultMaxIdleConns. The number in use has no bound but that of the
	// exchanges.
	MaxIdleConns int
	// MaxResponseHeaderBytes bounds each head of a response, interim ones included.
	// 0 means DefaultMaxResponseHeaderBytes.
	MaxResponseHeaderBytes int
	// TLS configures connections to an https target. ServerName defaults to the
	// target's host, MinVersion to TLS 1.2; NextProtos is overwritten. It is
	// cloned. nil means the system's roots.
	TLS *tls.Config
	// Host is sent as the request's authority. Empty means the one that the client
	// sent.
	Host string
	// OmitForwarded leaves the fields Forwarded and X-Forwarded-* as they come.
	// They are passed on and never believed: whoever calls the proxy has dropped
	// those of clients that it does not trust.
	OmitForwarded bool
	// Via is the pseudonym in a Via field that is added to requests [RFC 9110 §
	// 7.6.3], by which a request that comes round again is noticed. It must be unique
	// to the proxy. Empty means none.
	Via string
}

func (o Options) withDefaults() Options {
	o.DialTimeout = defaultTo(o.DialTimeout, DefaultDialTimeout)
	o.ExpectContinueTimeout = defaultTo(o.ExpectContinueTimeout, DefaultExpectContinueTimeout)
	o.IdleTimeout = defaultTo(o.IdleTimeout, DefaultIdleTimeout)
	o.MaxIdleConns = defaultTo(o.MaxIdleConns, DefaultMaxIdleConns)
	o.MaxResponseHeaderBytes = defaultTo(o.MaxResponseHeaderBytes, DefaultMaxResponseHeaderBytes)
	return o
}

func defaultTo[T comparable](value, otherwise T) T {
	var zero T
	if value == zero {
		return otherwise
	}
	return value
}

func (o Options) validate() error {
	if o.DialTimeout < 0 || o.ResponseHeaderTimeout < 0 || o.ExpectContinueTimeout < 0 || o.IdleTimeout < 0 {
		return errors.New("negative duration")
	}
	if o.MaxIdleConns < 0 || o.MaxResponseHeaderBytes < 0 {
		return errors.New("negative bound")
	}
	return nil
}

// Proxy is an [http.Handler] that forwards each request to one upstream. Its
// methods may be called at the same time.
//
// A failure is not answered with a status of the proxy's own: it ends the
// exchange by [bridge.Abort] with the cause, which behind a plain net/http server
// closes the connection or resets the stream.
type Proxy struct {
	target  target
	options Options
	dialer  *dialer
	h1      *h1Client
	h2      *h2Client // nil where the target speaks HTTP/1.1 only
}

// New returns a proxy for a target, which is one of
//
//	http://host[:port]    HTTP/1.1
//	https://host[:port]   what TLS negotiates: HTTP/2 or HTTP/1.1
//	h2c://host[:port]     HTTP/2 without TLS
//	unix:/path            HTTP/1.1 on a unix socket
//	unix+h2c:/path        HTTP/2 on a unix socket
//
// A request with an Upgrade goes over HTTP/1.1 whatever the target: HTTP/2 has
// no upgrades, and servers of h2c mostly speak both on one port. Where they do
// not, it fails.
//
// It does not connect: the upstream may be started later.
func New(rawTarget string, options Options) (*Proxy, error) {
	if err := options.validate(); err != nil {
		return nil, fmt.Errorf("configure upstream: %w", err)
	}
	to, err := parseTarget(rawTarget)
	if err != nil {
		return nil, err
	}
	options = options.withDefaults()
	dial := newDialer(to, options)
	p := &Proxy{
		target:  to,
		options: options,
		dialer:  dial,
		h1:      newH1Client(dial, options),
	}
	if to.mayBeHTTP2() {
		p.h2 = newH2Client(dial, options)
	}
	return p, nil
}

// ServeHTTP forwards the request and answers with the upstream's response. It
// returns when both have ended, or panics with [http.ErrAbortHandler]; nothing
// reads the request's body or writes to w after that.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	x := newExchange(p, w, r)
	if err := x.run(); err != nil {
		x.abort(err)
	}
}

// Ready reports whether a connection to the upstream can be opened, TLS
// handshake included. It sends no request.
func (p *Proxy) Ready(ctx context.Context) error {
	conn, err := p.dialer.dial(ctx)
	if err != nil {
		return err
	}
	return conn.Close()
}

// Close closes the connections that are idle. Those in use are closed when their
// exchanges end, or over HTTP/2 some time after that.
func (p *Proxy) Close() {
	p.h1.close()
	if p.h2 != nil {
		p.h2.close()
	}
}

// roundTripper sends one exchange's request and returns the head of the response.
// The caller reads the response's body, then closes it.
type roundTripper interface {
	roundTrip(*outgoing) (*http.Response, error)
}

// choose picks the client for a request.
func (p *Proxy) choose(ctx context.Context, upgrade bool) (roundTripper, error) {
	switch {
	case p.h2 == nil || upgrade:
		return p.h1, nil
	case !p.target.tls:
		return p.h2, nil
	}
	protocol, err := p.dialer.negotiated(ctx, p.h1)
	if err != nil {
		return nil, err
	}
	if protocol == protocolHTTP2 {
		return p.h2, nil
	}
	return p.h1, nil
}
