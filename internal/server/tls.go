package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/net/http2"
)

// alpn is what a listener with TLS offers its clients, the best first.
func alpn() []string { return []string{http2.NextProtoTLS, "http/1.1"} }

// tlsListener has its connections speak TLS. They are none of *tls.Conn: on those
// net/http speaks HTTP/2 by itself, and whoever wants to see what they carry, as a
// connwatch.Listener around this one does, has no place there.
type tlsListener struct {
	net.Listener
	config *tls.Config
	bound  time.Duration // of the handshake, and of the preface of HTTP/2; 0 means none
	logger *slog.Logger
}

// withTLS returns a listener whose connections are secured.
func (s *Server) withTLS(listener net.Listener) net.Listener {
	config := s.config.TLS.Clone()
	config.NextProtos = alpn()
	return &tlsListener{listener, config, s.config.HeaderTimeout, s.config.Logger}
}

// Accept implements net.Listener. It does not wait for the handshake.
func (l *tlsListener) Accept() (net.Conn, error) {
	accepted, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	secured := tls.Server(accepted, l.config)
	return &tlsConn{Conn: secured, secured: secured, listener: l}, nil
}

// tlsConn is a connection that is secured when it is first read from. It does not
// tell its ConnectionState, or net/http would speak HTTP/1.1 alone on it.
type tlsConn struct {
	net.Conn // secured
	secured  *tls.Conn
	listener *tlsListener

	begun bool
	err   error               // of the beginning
	state tls.ConnectionState // valid for whoever has got something from Read
	// greeting is what was read in the beginning and was not returned.
	greeting []byte
	first    [len(http2.ClientPreface)]byte

	broken atomic.Bool // a Write has failed, so that nothing can be written any more
}

// Read implements io.Reader. It must not be called concurrently, which net/http sees
// to, who reads before it writes.
func (c *tlsConn) Read(p []byte) (int, error) {
	if !c.begun {
		c.begun = true
		c.err = c.begin()
	}
	switch {
	case c.err != nil:
		return 0, c.err
	case len(c.greeting) > 0:
		n := copy(p, c.greeting)
		c.greeting = c.greeting[n:]
		return n, nil
	default:
		return c.Conn.Read(p)
	}
}

// Write implements io.Writer.
func (c *tlsConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	if err != nil {
		c.broken.Store(true)
	}
	return n, err
}

// Close closes the connection, with a word to the client if it has taken all
// before: crypto/tls would wait for 5 seconds until it takes this one.
func (c *tlsConn) Close() error {
	if c.broken.Load() {
		return c.NetConn().Close()
	}
	return c.Conn.Close()
}

// CloseWrite says that nothing more will be written.
func (c *tlsConn) CloseWrite() error { return c.secured.CloseWrite() }

// NetConn returns the connection below, as [tls.Conn.NetConn] does.
func (c *tlsConn) NetConn() net.Conn { return c.secured.NetConn() }

// begin does the handshake, and sees that the client then speaks what was agreed.
func (c *tlsConn) begin() error {
	bound := c.listener.bound
	if bound > 0 {
		_ = c.SetDeadline(time.Now().Add(bound))
	}
	if err := c.secured.HandshakeContext(context.Background()); err != nil {
		c.fail(err)
		return c.silent(err)
	}
	c.state = c.secured.ConnectionState()
	agreed := c.state.NegotiatedProtocol == http2.NextProtoTLS
	if agreed && !fitForHTTP2(&c.state) {
		_ = http2.NewFramer(c.Conn, nil).WriteGoAway(0, http2.ErrCodeInadequateSecurity, nil)
		return c.silent(c.refuse(errUnfitForHTTP2))
	}
	if bound > 0 {
		_ = c.SetWriteDeadline(time.Time{})
		_ = c.SetReadDeadline(time.Now().Add(bound))
	}
	return c.greet(agreed)
}

// fail says why a handshake was none. Clients that leave without a word are not
// worth one: they only look whether somebody listens.
func (c *tlsConn) fail(err error) {
	switch header, ok := errors.AsType[tls.RecordHeaderError](err); {
	case ok && header.Conn != nil && ofHTTP(header.RecordHeader):
		_, _ = io.WriteString(header.Conn, "HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n")
		err = errPlain
	case errors.Is(err, net.ErrClosed): // by this end
		return
	case errors.Is(err, os.ErrDeadlineExceeded):
		err = fmt.Errorf("not done within %v", c.listener.bound)
	case errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET):
		if c.secured.ConnectionState().Version == 0 { // there was no ClientHello
			return
		}
	}
	c.listener.logger.Warn("TLS handshake failed", "peer", c.RemoteAddr().String(), "err", err.Error())
}

var (
	errPlain          = errors.New("the client sent an HTTP request without TLS")
	errUnfitForHTTP2  = errors.New("HTTP/2 was agreed on, with a version or a cipher suite that it forbids")
	errNotHTTP2       = errors.New("HTTP/2 was agreed on, and something else is spoken")
	errHTTP2NotAgreed = errors.New("HTTP/2 is spoken, and was not agreed on")
)

// refuse says why a client that knows TLS is not served.
func (c *tlsConn) refuse(err error) error {
	c.listener.logger.Warn("TLS connection refused", "peer", c.RemoteAddr().String(), "err", err.Error())
	return err
}

// silent returns the error as one that net/http says nothing about, not to the
// client either.
func (c *tlsConn) silent(err error) error {
	return &net.OpError{Op: "read", Net: "tls", Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: err}
}

// ofHTTP reports whether what should be the header of a record is the beginning of
// a request, as net/http sees it.
func ofHTTP(header [5]byte) bool {
	switch string(header[:]) {
	case "GET /", "HEAD ", "POST ", "PUT /", "OPTIO":
		return true
	default:
		return false
	}
}

// greet reads what the client begins with, for as long as that is the preface of
// HTTP/2, or the first line of it where HTTP/2 was not agreed on. net/http goes by
// the preface alone, and knows nothing of what was agreed on.
func (c *tlsConn) greet(agreed bool) error {
	preface := http2.ClientPreface
	if !agreed {
		preface, _, _ = strings.Cut(preface, "\r\n")
	}
	for have := 0; have < len(preface); {
		n, err := c.Conn.Read(c.first[have:len(preface)])
		have += n
		c.greeting = c.first[:have]
		switch {
		case string(c.greeting) != preface[:have] && agreed:
			return c.silent(c.refuse(errNotHTTP2))
		case string(c.greeting) != preface[:have]:
			return nil
		case err != nil:
			return err
		}
	}
	if !agreed {
		return c.refuse(errHTTP2NotAgreed) // which net/http answers with 400
	}
	return nil
}

// fitForHTTP2 reports whether a connection is as HTTP/2 wants it: with an ephemeral
// key, and a cipher that authenticates [RFC 9113 § 9.2].
func fitForHTTP2(state *tls.ConnectionState) bool {
	switch state.CipherSuite {
	case tls.TLS_AES_128_GCM_SHA256, tls.TLS_AES_256_GCM_SHA384, tls.TLS_CHACHA20_POLY1305_SHA256, // of TLS 1.3
		tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
		tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
		tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256:
		return state.Version >= tls.VersionTLS12
	default:
		return false
	}
}

type tlsKey struct{}

// withSecured leaves in the context of a connection's requests the connection, if
// it is secured.
func withSecured(ctx context.Context, conn net.Conn) context.Context {
	if secured, ok := layer[*tlsConn](conn); ok {
		return context.WithValue(ctx, tlsKey{}, secured)
	}
	return ctx
}

// setTLS gives requests of connections that are secured their Request.TLS, which
// net/http would do for *tls.Conn. It has to be the outermost.
func setTLS(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if secured, ok := r.Context().Value(tlsKey{}).(*tlsConn); ok {
			r.TLS = &secured.state
		}
		next.ServeHTTP(w, r)
	})
}

// layer returns the layer of a connection that is a T, if there is one.
func layer[T any](conn net.Conn) (found T, ok bool) {
	for {
		if found, ok = conn.(T); ok {
			return found, true
		}
		outer, more := conn.(interface{ NetConn() net.Conn })
		if !more {
			return found, false
		}
		conn = outer.NetConn()
	}
}
