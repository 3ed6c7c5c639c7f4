package culvert

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"sync"
	"time"

	"golang.org/x/net/http2"
)

// errWrongHTTP is the error of a connection that speaks another version of HTTP
// than the one before.
var errWrongHTTP = errors.New("server has changed the version of HTTP that it speaks")

// clientConns opens the connections of a transport, and closes them with it.
type clientConns struct {
	ctx     context.Context //nolint:containedctx // the transport's own
	base    *url.URL
	address string
	tls     *tls.Config
	open    DialFunc
	timeout time.Duration
	stalls  stalls // of writes in HTTP/2

	mu    sync.Mutex // guards what follows
	conns map[*clientConn]struct{}
	spare *tls.Conn // opened to ask what the server speaks, and not used yet
}

// clientConn is a connection that leaves the list of open ones when it is closed,
// and can fail when nothing of what is written to it is taken.
type clientConn struct {
	net.Conn
	stallWatch

	conns *clientConns
}

// Write implements net.Conn. net/http's own bound of the same, WriteByteTimeout,
// sets a deadline before each write and takes it away after it.
func (c *clientConn) Write(p []byte) (n int, err error) {
	for {
		m, err := c.write(p[n:])
		n += m
		if n == len(p) || m == 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
			return n, err
		}
		if err := c.SetWriteDeadline(time.Time{}); err != nil { // some was taken: more time
			return n, err
		}
	}
}

func (c *clientConn) write(p []byte) (int, error) {
	c.begin()
	defer c.end()
	return c.Conn.Write(p)
}

// interruptWrites ends the write that waits.
func (c *clientConn) interruptWrites() {
	if c.SetWriteDeadline(inThePast) != nil {
		_ = c.Conn.Close()
	}
}

// Close implements net.Conn.
func (c *clientConn) Close() error {
	c.stop()
	c.conns.mu.Lock()
	delete(c.conns.conns, c)
	c.conns.mu.Unlock()
	return c.Conn.Close()
}

// clientDialError is the error of a server that could not be connected to, so
// that it has seen nothing.
type clientDialError struct{ err error }

func (e *clientDialError) Error() string { return "connect to server: " + e.err.Error() }
func (e *clientDialError) Unwrap() error { return e.err }

func newClientConns(ctx context.Context, base *url.URL, config *transportConfig) *clientConns {
	port := base.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[base.Scheme]
	}
	c := &clientConns{
		ctx:     ctx,
		base:    base,
		address: net.JoinHostPort(base.Hostname(), port),
		tls:     &tls.Config{MinVersion: tls.VersionTLS12},
		open:    config.dial,
		timeout: config.dialTimeout,
		conns:   make(map[*clientConn]struct{}),
	}
	if config.pingInterval > 0 {
		c.stalls.timeout = config.pingInterval + config.pingTimeout
	}
	if config.tls != nil {
		c.tls = config.tls
	}
	c.tls.NextProtos = []string{"h2", "http/1.1"}
	if c.tls.ServerName == "" {
		c.tls.ServerName = base.Hostname()
	}
	return c
}

// dial opens a connection, within the time that it may take, and while the
// transport is not closed.
func (c *clientConns) dial(ctx context.Context, network, address string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	defer context.AfterFunc(c.ctx, cancel)()
	conn, err := c.open(ctx, network, address)
	if err != nil {
		return nil, &clientDialError{err}
	}
	tracked := &clientConn{Conn: conn, conns: c}
	c.mu.Lock()
	closed := c.ctx.Err()
	if closed == nil {
		c.conns[tracked] = struct{}{}
	}
	c.mu.Unlock()
	if closed != nil {
		_ = conn.Close()
		return nil, &clientDialError{ErrTransportClosed}
	}
	return tracked, nil
}

// dialHTTP2 opens a connection for HTTP/2 without TLS.
func (c *clientConns) dialHTTP2(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := c.dial(ctx, network, address)
	if err == nil {
		c.boundWrites(conn)
	}
	return conn, err
}

// dialTLS opens a connection with TLS, or takes the one that was opened to ask
// what the server speaks. It must be HTTP/2, or must not.
func (c *clientConns) dialTLS(ctx context.Context, network, address string, isHTTP2 bool) (net.Conn, error) {
	conn := c.takeSpare()
	if conn == nil {
		var err error
		if conn, err = c.secure(ctx, network, address); err != nil {
			return nil, err
		}
	}
	if speaksHTTP2(conn) != isHTTP2 {
		_ = conn.Close()
		return nil, &clientDialError{errWrongHTTP}
	}
	if isHTTP2 {
		c.boundWrites(conn.NetConn())
	}
	return conn, nil
}

// boundWrites has a connection that dial has opened fail where the server takes
// nothing of what is written. It is for HTTP/2: in HTTP/1.1 a server may leave a
// body unread for as long as it likes.
func (c *clientConns) boundWrites(conn net.Conn) {
	if tracked, ok := conn.(*clientConn); ok {
		tracked.start(&c.stalls, tracked)
	}
}

func (c *clientConns) takeSpare() *tls.Conn {
	c.mu.Lock()
	defer c.mu.Unlock()
	conn := c.spare
	c.spare = nil
	return conn
}

// secure opens a connection with TLS.
func (c *clientConns) secure(ctx context.Context, network, address string) (*tls.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	conn, err := c.dial(ctx, network, address)
	if err != nil {
		return nil, err
	}
	defer context.AfterFunc(c.ctx, cancel)()
	secured := tls.Client(conn, c.tls)
	if err := secured.HandshakeContext(ctx); err != nil {
		_ = conn.Close()
		return nil, &clientDialError{err}
	}
	return secured, nil
}

func speaksHTTP2(conn *tls.Conn) bool { return conn.ConnectionState().NegotiatedProtocol == "h2" }

// probe finds out whether the server speaks HTTP/2. With TLS the handshake says
// so. Without, the client's preface is sent, which an HTTP/2 server answers with
// SETTINGS, and any other with an error; there is no request in it whose body
// would be lost.
func (c *clientConns) probe() (isHTTP2 bool, err error) {
	ctx, cancel := context.WithTimeout(c.ctx, c.timeout)
	defer cancel()
	if c.base.Scheme == "https" {
		conn, err := c.secure(ctx, "tcp", c.address)
		if err != nil {
			return false, err
		}
		c.mu.Lock()
		c.spare = conn
		c.mu.Unlock()
		return speaksHTTP2(conn), nil
	}
	conn, err := c.dial(ctx, "tcp", c.address)
	if err != nil {
		return false, err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	isHTTP2, err = answersPreface(conn)
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		return false, &clientDialError{err}
	}
	return isHTTP2, nil
}

// answersPreface sends the preface [RFC 9113 § 3.4] and reports whether the
// answer begins with a SETTINGS frame. A server that closes the connection
// instead does not speak HTTP/2.
func answersPreface(conn io.ReadWriter) (bool, error) {
	var preface bytes.Buffer
	preface.WriteString(http2.ClientPreface)
	if err := http2.NewFramer(&preface, nil).WriteSettings(); err != nil {
		return false, fmt.Errorf("build preface: %w", err)
	}
	if _, err := conn.Write(preface.Bytes()); err != nil {
		return false, fmt.Errorf("send preface: %w", err)
	}
	var header [9]byte // of a frame
	n, err := io.ReadFull(conn, header[:])
	switch {
	case err == nil:
	case n > 0 || errors.Is(err, io.EOF):
		return false, nil
	default:
		return false, fmt.Errorf("read answer to preface: %w", err)
	}
	frame, err := http2.ReadFrameHeader(bytes.NewReader(header[:]))
	if err != nil {
		return false, fmt.Errorf("read answer to preface: %w", err)
	}
	return frame.Type == http2.FrameSettings && frame.StreamID == 0 && !frame.Flags.Has(http2.FlagSettingsAck), nil
}

// closeAll closes what is open. What is being opened closes by itself.
func (c *clientConns) closeAll() {
	c.mu.Lock()
	open := make([]*clientConn, 0, len(c.conns))
	for conn := range c.conns {
		open = append(open, conn)
	}
	c.spare = nil
	c.mu.Unlock()
	for _, conn := range open {
		_ = conn.Close()
	}
}
