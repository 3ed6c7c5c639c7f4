package culvert

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"maps"
	"math"
	"net"
	"net/http"
	"time"

	"connectrpc.com/connect"
)

// A TransportOption configures a [Transport].
type TransportOption interface {
	applyToTransport(*transportConfig)
}

type transportOptionFunc func(*transportConfig)

func (f transportOptionFunc) applyToTransport(config *transportConfig) { f(config) }

// DialFunc opens a connection to an address, "host:port". It must return soon
// after ctx is done.
type DialFunc = func(ctx context.Context, network, address string) (net.Conn, error)

type transportConfig struct {
	protocol        Protocol
	method          Method
	tls             *tls.Config
	dial            DialFunc
	dialTimeout     time.Duration
	streamWindow    int
	connWindow      int
	pingInterval    time.Duration
	pingTimeout     time.Duration
	maxHeadBytes    int
	maxFields       int
	maxBodyBytes    int
	maxSessionBytes int
	continueTimeout time.Duration
	tries           int
	header          http.Header
	token           func() string // nil: none
	connectOptions  []connect.ClientOption
}

// Defaults of a [Transport], each with an option that changes it.
const (
	DefaultDialTimeout           = 10 * time.Second
	DefaultStreamWindow          = 4 << 20
	DefaultConnWindow            = 64 << 20
	DefaultPingInterval          = 15 * time.Second
	DefaultPingTimeout           = 10 * time.Second
	DefaultMaxResponseHeadBytes  = 1 << 20
	DefaultMaxResponseFields     = 10_000
	DefaultExpectContinueTimeout = time.Second
	DefaultTries                 = 5
)

// What no option changes.
const (
	// maxInterims bounds the interim responses of one exchange.
	maxInterims = 100
	// resendBackoff is the time before a request is sent again for the first time.
	resendBackoff = 20 * time.Millisecond
	// maxAutoDownload is how much of a request is read to see whether it fits the
	// one message of Download.
	maxAutoDownload = 1 << 20
	// messageOverhead is what a message may have beside the body in it.
	messageOverhead = 1 << 20
)

// maxMessage bounds the messages of an RPC, in bytes.
func (c *transportConfig) maxMessage() int { return c.maxBodyBytes + c.maxHeadBytes + messageOverhead }

func newTransportConfig(opts []TransportOption) (*transportConfig, error) {
	config := &transportConfig{
		dial:            (&net.Dialer{}).DialContext,
		dialTimeout:     DefaultDialTimeout,
		streamWindow:    DefaultStreamWindow,
		connWindow:      DefaultConnWindow,
		pingInterval:    DefaultPingInterval,
		pingTimeout:     DefaultPingTimeout,
		maxHeadBytes:    DefaultMaxResponseHeadBytes,
		maxFields:       DefaultMaxResponseFields,
		maxBodyBytes:    DefaultMaxBodyBytes,
		maxSessionBytes: DefaultMaxSessionBytes,
		continueTimeout: DefaultExpectContinueTimeout,
		tries:           DefaultTries,
	}
	for _, opt := range opts {
		opt.applyToTransport(config)
	}
	if err := config.validate(); err != nil {
		return nil, err
	}
	return config, nil
}

func (c *transportConfig) validate() error {
	switch {
	case !c.protocol.valid():
		return fmt.Errorf("WithProtocol: %w", errUnknownProtocol)
	case !c.method.valid():
		return fmt.Errorf("WithMethod: %w", errUnknownMethod)
	case c.dial == nil:
		return errors.New("WithDialContext: nil function")
	case c.dialTimeout <= 0:
		return fmt.Errorf("WithDialTimeout: %s is not positive", c.dialTimeout)
	case c.streamWindow < 64<<10 || c.connWindow < c.streamWindow || c.connWindow > math.MaxInt32:
		return fmt.Errorf("WithWindows: not 64 KiB <= %d <= %d < 2 GiB", c.streamWindow, c.connWindow)
	case c.pingInterval < 0 || c.pingTimeout <= 0:
		return fmt.Errorf("WithPing: interval %s, timeout %s", c.pingInterval, c.pingTimeout)
	case c.maxHeadBytes <= 0 || c.maxFields <= 0:
		return fmt.Errorf("WithMaxResponseHead: %d bytes, %d fields", c.maxHeadBytes, c.maxFields)
	case c.maxBodyBytes <= 0:
		return fmt.Errorf("WithMaxBufferedBytes: %d is not positive", c.maxBodyBytes)
	case c.maxSessionBytes <= 0:
		return fmt.Errorf("WithMaxSessionBytes: %d is not positive", c.maxSessionBytes)
	case c.continueTimeout < 0:
		return fmt.Errorf("WithExpectContinueTimeout: %s is negative", c.continueTimeout)
	case c.tries <= 0:
		return fmt.Errorf("WithTries: %d is not positive", c.tries)
	default:
		return nil
	}
}

// WithProtocol sets the RPC protocol. The default is [ProtocolGRPC]. On HTTP/1.1,
// where intermediaries may lose the trailers that gRPC needs, gRPC-Web is spoken
// in its place.
func WithProtocol(protocol Protocol) TransportOption {
	return transportOptionFunc(func(c *transportConfig) { c.protocol = protocol })
}

// WithMethod sets the RPC method that carries exchanges. The default is
// [MethodAuto].
func WithMethod(method Method) TransportOption {
	return transportOptionFunc(func(c *transportConfig) { c.method = method })
}

// WithTLSConfig sets how connections to an https server are secured: client
// certificates, roots, server name. The config is cloned. The default, also for
// nil, is that of crypto/tls. What protocols are negotiated is the transport's
// own business.
func WithTLSConfig(config *tls.Config) TransportOption {
	return transportOptionFunc(func(c *transportConfig) { c.tls = config.Clone() })
}

// WithDialContext sets how connections are opened, before TLS: through a proxy,
// or to a unix socket. It must not be nil. The default is that of [net.Dialer].
func WithDialContext(dial DialFunc) TransportOption {
	return transportOptionFunc(func(c *transportConfig) { c.dial = dial })
}

// WithDialTimeout bounds the time that it may take to open a connection, with
// TLS and all. The default is [DefaultDialTimeout]. d must be positive.
func WithDialTimeout(d time.Duration) TransportOption {
	return transportOptionFunc(func(c *transportConfig) { c.dialTimeout = d })
}

// WithWindows sets how many bytes of responses the server may send ahead of their
// readers, for one exchange and for one connection. The defaults are
// [DefaultStreamWindow] and [DefaultConnWindow]. One exchange that is not read
// fills its own window; a connection window many times that keeps it from
// holding up others. The smallest window is 64 KiB.
func WithWindows(stream, conn int) TransportOption {
	return transportOptionFunc(func(c *transportConfig) { c.streamWindow, c.connWindow = stream, conn })
}

// WithPing sets after how much silence of an HTTP/2 connection it is tried
// whether the server is still there, and how long the answer may take. The
// defaults are [DefaultPingInterval] and [DefaultPingTimeout]; an interval of 0
// turns pings off, and a server that vanished is not noticed.
func WithPing(interval, timeout time.Duration) TransportOption {
	return transportOptionFunc(func(c *transportConfig) { c.pingInterval, c.pingTimeout = interval, timeout })
}

// WithMaxResponseHead bounds the head of a response, and its trailer section: the
// bytes of all names and values, and 32 for each field, and the number of fields.
// All interim responses of an exchange together are bounded likewise. The
// defaults are [DefaultMaxResponseHeadBytes] and [DefaultMaxResponseFields]. Both
// must be positive.
func WithMaxResponseHead(bytes, fields int) TransportOption {
	return transportOptionFunc(func(c *transportConfig) { c.maxHeadBytes, c.maxFields = bytes, fields })
}

// WithMaxBufferedBytes bounds the bodies that travel as one message: the
// request's of Call and Download, the response's of Call and Upload. The default
// is [DefaultMaxBodyBytes]; more is of use only if the server's
// [WithMaxBodyBytes] allows it too. n must be positive.
func WithMaxBufferedBytes(n int) TransportOption {
	return transportOptionFunc(func(c *transportConfig) { c.maxBodyBytes = n })
}

// WithExpectContinueTimeout sets how long the body of a request with Expect:
// 100-continue is held back at most. The default is
// [DefaultExpectContinueTimeout]; with 0 it is not held back.
func WithExpectContinueTimeout(d time.Duration) TransportOption {
	return transportOptionFunc(func(c *transportConfig) { c.continueTimeout = d })
}

// WithTries bounds how often a request is sent if the server says each time that
// it did not start the exchange, as one does that shuts down. The default is
// [DefaultTries]; 1 turns resending off. n must be positive.
func WithTries(n int) TransportOption {
	return transportOptionFunc(func(c *transportConfig) { c.tries = n })
}

// WithHTTPHeader adds fields to the header section of the RPCs, not of the
// tunnelled requests: credentials for the tunnel itself, for example. The fields
// of the RPC protocol cannot be replaced. Given more than once, the fields add up.
func WithHTTPHeader(header http.Header) TransportOption {
	header = header.Clone()
	return transportOptionFunc(func(c *transportConfig) {
		if c.header == nil {
			c.header = make(http.Header)
		}
		for name, values := range maps.All(header) {
			for _, value := range values {
				c.header.Add(name, value)
			}
		}
	})
}

// WithConnectClientOptions passes options to the clients of connect that send
// the RPCs: interceptors, compression. They come after Culvert's own, and so can
// override them.
func WithConnectClientOptions(opts ...connect.ClientOption) TransportOption {
	return transportOptionFunc(func(c *transportConfig) {
		c.connectOptions = append(c.connectOptions, opts...)
	})
}
