package upstream

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"
)

// keepAlive is how often TCP asks whether an upstream is still there, when
// nothing else does.
const keepAlive = 15 * time.Second

// Protocols of ALPN [RFC 7301 § 6].
const (
	protocolHTTP1 = "http/1.1"
	protocolHTTP2 = "h2"
)

// dialError is the error of a connection that could not be opened: the upstream
// saw nothing of the request.
type dialError struct{ err error }

func (e *dialError) Error() string { return fmt.Sprintf("connect to upstream: %v", e.err) }
func (e *dialError) Unwrap() error { return e.err }

// dialer opens connections to one target.
type dialer struct {
	target  target
	timeout time.Duration
	tls     *tls.Config // nil without TLS

	mu       sync.Mutex
	protocol string // what TLS negotiated last; empty if not known
}

func newDialer(to target, options Options) *dialer {
	d := &dialer{target: to, timeout: options.DialTimeout}
	if !to.tls {
		return d
	}
	d.tls = &tls.Config{}
	if options.TLS != nil {
		d.tls = options.TLS.Clone()
	}
	d.tls.ServerName = defaultTo(d.tls.ServerName, to.host)
	d.tls.MinVersion = defaultTo(d.tls.MinVersion, tls.VersionTLS12)
	if d.tls.ClientSessionCache == nil {
		d.tls.ClientSessionCache = tls.NewLRUClientSessionCache(0)
	}
	return d
}

// dial opens a connection for HTTP/1.1.
func (d *dialer) dial(ctx context.Context) (net.Conn, error) {
	return d.dialFor(ctx, protocolHTTP1)
}

// dialFor opens a connection and, with TLS, offers the protocols in their order.
func (d *dialer) dialFor(ctx context.Context, protocols ...string) (net.Conn, error) {
	dialCtx, cancel := context.WithTimeout(ctx, d.timeout)
	defer cancel()
	conn, err := d.dialRaw(dialCtx)
	if err == nil && d.tls != nil {
		conn, err = d.handshake(dialCtx, conn, protocols)
	}
	switch {
	case err == nil:
		return conn, nil
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	default:
		return nil, &dialError{err: err}
	}
}

// dialHTTP2 opens a connection for HTTP/2 over TLS.
func (d *dialer) dialHTTP2(ctx context.Context) (net.Conn, error) {
	conn, err := d.dialFor(ctx, protocolHTTP2)
	if err != nil {
		return nil, err
	}
	if negotiatedProtocol(conn) != protocolHTTP2 {
		_ = conn.Close()
		return nil, &dialError{err: errors.New("upstream no longer speaks HTTP/2")}
	}
	return conn, nil
}

func negotiatedProtocol(conn net.Conn) string {
	if secured, ok := conn.(*tls.Conn); ok {
		return secured.ConnectionState().NegotiatedProtocol
	}
	return ""
}

func (d *dialer) dialRaw(ctx context.Context) (net.Conn, error) {
	netDialer := net.Dialer{KeepAlive: keepAlive}
	return netDialer.DialContext(ctx, d.target.network, d.target.address)
}

func (d *dialer) handshake(ctx context.Context, conn net.Conn, protocols []string) (net.Conn, error) {
	config := d.tls.Clone()
	config.NextProtos = protocols
	secured := tls.Client(&recordConn{Conn: conn}, config)
	if err := secured.HandshakeContext(ctx); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return secured, nil
}

// negotiated returns the protocol that the upstream speaks over TLS. It connects
// to find out where that is not known, and leaves a connection that turns out to
// be HTTP/1.1 with the client.
func (d *dialer) negotiated(ctx context.Context, client *h1Client) (string, error) {
	d.mu.Lock()
	protocol := d.protocol
	d.mu.Unlock()
	if protocol != "" {
		return protocol, nil
	}
	conn, err := d.dialFor(ctx, protocolHTTP2, protocolHTTP1)
	if err != nil {
		return "", err
	}
	protocol = protocolHTTP1
	if negotiatedProtocol(conn) == protocolHTTP2 {
		protocol = protocolHTTP2
		_ = conn.Close()
	} else {
		client.put(newH1Conn(client, conn))
	}
	d.remember(protocol)
	return protocol, nil
}

// remember notes the protocol that the upstream speaks; empty forgets it.
func (d *dialer) remember(protocol string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.protocol = protocol
}
