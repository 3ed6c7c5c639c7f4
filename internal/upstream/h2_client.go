package upstream

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Windows and pings of connections over HTTP/2. What a slow client has not taken
// yet counts against the window of its stream and of the connection, which others
// share: so the connection's is that of as many streams as servers mostly allow,
// and a client that stops reading holds up nobody else.
const (
	h2StreamWindow = 1 << 20
	h2ConnWindow   = 256 << 20
	h2MaxFrame     = 256 << 10
	h2PingAfter    = 15 * time.Second
	h2PingTimeout  = 10 * time.Second
	h2IdleTimeout  = 90 * time.Second
)

// h2Client speaks HTTP/2 to one upstream.
type h2Client struct {
	dialer    *dialer
	transport *http.Transport
}

func newH2Client(d *dialer, options Options) *h2Client {
	transport := &http.Transport{
		Protocols:              new(http.Protocols),
		DisableCompression:     true,
		IdleConnTimeout:        h2IdleTimeout,
		ExpectContinueTimeout:  options.ExpectContinueTimeout,
		MaxResponseHeaderBytes: int64(options.MaxResponseHeaderBytes),
		HTTP2: &http.HTTP2Config{
			MaxReceiveBufferPerStream:     h2StreamWindow,
			MaxReceiveBufferPerConnection: h2ConnWindow,
			MaxReadFrameSize:              h2MaxFrame,
			SendPingTimeout:               h2PingAfter,
			PingTimeout:                   h2PingTimeout,
			WriteByteTimeout:              h2PingAfter + h2PingTimeout,
		},
	}
	if d.target.tls {
		transport.Protocols.SetHTTP2(true)
		transport.DialTLSContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return d.dialHTTP2(ctx)
		}
	} else {
		transport.Protocols.SetUnencryptedHTTP2(true)
		transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return d.dial(ctx)
		}
	}
	return &h2Client{dialer: d, transport: transport}
}

func (c *h2Client) close() { c.transport.CloseIdleConnections() }

// roundTrip implements roundTripper.
func (c *h2Client) roundTrip(out *outgoing) (*http.Response, error) {
	relay := &informationalRelay{send: out.informational}
	if out.body != nil {
		// A server sends a 100 of its own when the body is read, if none was sent.
		out.body.before = func() { _ = relay.wait() }
	}
	var connected atomic.Bool
	ctx := httptrace.WithClientTrace(out.ctx, &httptrace.ClientTrace{
		GotConn: func(httptrace.GotConnInfo) {
			connected.Store(true)
			if out.body == nil {
				out.sent()
			}
		},
		Got1xxResponse: relay.got,
	})
	response, err := c.transport.RoundTrip(out.request(ctx))
	if relayErr := relay.wait(); err == nil && relayErr != nil {
		_ = response.Body.Close()
		err = relayErr
	}
	switch {
	case err == nil:
		if err := validateHead(response); err != nil {
			_ = response.Body.Close()
			return nil, fmt.Errorf("read response: %w", err)
		}
		return response, nil
	case out.ctx.Err() != nil:
		return nil, context.Cause(out.ctx)
	case !connected.Load():
		// Over TLS it may have been restarted without HTTP/2.
		c.dialer.remember("")
		return nil, asDialError(err)
	case strings.Contains(err.Error(), "header list larger"):
		return nil, errHeadTooLarge // the transport has no value for it
	default:
		return nil, err
	}
}

func asDialError(err error) error {
	if _, ok := errors.AsType[*dialError](err); ok {
		return err
	}
	return &dialError{err: err}
}

// request returns the request as net/http wants it.
func (out *outgoing) request(ctx context.Context) *http.Request {
	if _, ok := out.header["User-Agent"]; !ok {
		out.header["User-Agent"] = nil // keeps net/http from adding its own
	}
	r := (&http.Request{
		Method:        out.method,
		URL:           out.url(),
		Proto:         "HTTP/1.1",
		ProtoMajor:    1,
		ProtoMinor:    1,
		Header:        out.header,
		Trailer:       out.trailer,
		Host:          out.authority,
		ContentLength: out.contentLength,
	}).WithContext(ctx)
	if out.body != nil {
		r.Body = out.body
	}
	return r
}

// url returns a URL that net/http makes the request target of as it is. Escaping
// is bypassed by Opaque, which net/http gives the scheme in front where it begins
// with two slashes, and then takes scheme and authority away again.
func (out *outgoing) url() *url.URL {
	opaque := out.target
	if strings.HasPrefix(opaque, "//") {
		opaque = "//" + out.authority + opaque
	}
	return &url.URL{Scheme: out.scheme, Host: poolKey, Opaque: opaque}
}

// poolKey is the host by which the transport groups connections: there is one
// upstream, whatever authorities clients ask for.
const poolKey = "upstream"

// errSwitching is the error of a 101, which HTTP/2 does not have [RFC 9113 § 8.6].
var errSwitching = errors.New("read response: upstream switches protocols in HTTP/2")

// maxQueuedInterim bounds the interim responses that the client has not taken yet.
const maxQueuedInterim = 128

// informationalRelay takes interim responses off the goroutine that reads the
// connection, which must not wait for a client that is slow to take them.
type informationalRelay struct {
	send func(status int, header http.Header) error

	mu      sync.Mutex
	count   int
	queue   []interim
	running chan struct{} // closed when the sender has ended; nil if there is none
	err     error
}

type interim struct {
	status int
	header http.Header
}

// got is called by the transport for each interim response, in their order.
func (l *informationalRelay) got(status int, header textproto.MIMEHeader) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.count++
	if l.err == nil && status == http.StatusSwitchingProtocols {
		l.err = errSwitching
	}
	if l.err == nil && (l.count > maxInformational || len(l.queue) >= maxQueuedInterim) {
		l.err = errInformational
	}
	if l.err != nil {
		return l.err
	}
	l.queue = append(l.queue, interim{status, http.Header(header)})
	if l.running == nil {
		l.running = make(chan struct{})
		go l.run(l.running)
	}
	return nil
}

func (l *informationalRelay) run(done chan struct{}) {
	defer close(done)
	for {
		l.mu.Lock()
		if len(l.queue) == 0 {
			l.running = nil
			l.mu.Unlock()
			return
		}
		next := l.queue[0]
		l.queue = l.queue[1:]
		l.mu.Unlock()
		if err := l.send(next.status, next.header); err != nil {
			l.fail(err)
		}
	}
}

func (l *informationalRelay) fail(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err == nil {
		l.err = err
	}
}

// wait returns when everything was sent, or could not be.
func (l *informationalRelay) wait() error {
	l.mu.Lock()
	running := l.running
	l.mu.Unlock()
	if running != nil {
		<-running
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}
