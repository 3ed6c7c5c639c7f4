package culvert_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/culvert-http/culvert"
	"github.com/culvert-http/culvert/internal/connwatch"
)

// patience is how long a test waits for what must happen.
const patience = 10 * time.Second

// httpVersion is a version of HTTP over cleartext TCP, or the tunnel.
type httpVersion int

const (
	http1 httpVersion = iota
	http2Cleartext
	tunnelled
)

func (v httpVersion) String() string { return [...]string{"HTTP1", "h2c", "tunnel"}[v] }

func (v httpVersion) protocols() *http.Protocols {
	var protocols http.Protocols
	if v == http1 {
		protocols.SetHTTP1(true)
	} else {
		protocols.SetUnencryptedHTTP2(true)
	}
	return &protocols
}

// startServer serves h on HTTP/1.1 and h2c, and returns its address.
func startServer(tb testing.TB, h http.Handler) string {
	tb.Helper()
	server := httptest.NewUnstartedServer(h)
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	server.Config.Protocols = &protocols
	server.Config.DisableGeneralOptionsHandler = true
	server.Config.ConnContext = connwatch.ConnContext
	server.Listener = connwatch.Listener{Listener: server.Listener} // as culvert gateway has it
	server.Start()
	tb.Cleanup(server.Close)
	return server.Listener.Addr().String()
}

// newRoundTripper returns a transport of net/http all of whose connections go to
// addr.
func newRoundTripper(tb testing.TB, addr string, version httpVersion) *http.Transport {
	tb.Helper()
	transport := &http.Transport{
		Protocols: version.protocols(),
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "tcp", addr)
		},
		DisableCompression:    true,
		ExpectContinueTimeout: patience,
	}
	tb.Cleanup(transport.CloseIdleConnections)
	return transport
}

// startGateway serves a gateway to upstream, which is reached by one version of
// HTTP or through the tunnel.
func startGateway(tb testing.TB, upstream http.Handler, version httpVersion, opts ...culvert.GatewayOption) string {
	tb.Helper()
	var rt http.RoundTripper
	if version == tunnelled {
		rt = newTunnelTo(tb, upstream)
	} else {
		rt = newRoundTripper(tb, startServer(tb, upstream), version)
	}
	return startServer(tb, culvert.NewGateway(rt, opts...))
}

// newTunnelTo returns a transport to a tunnel in front of upstream.
func newTunnelTo(tb testing.TB, upstream http.Handler, opts ...culvert.TransportOption) *culvert.Transport {
	tb.Helper()
	pattern, handler := culvert.NewHandler(upstream, culvert.WithUpgrades("websocket", "echo"))
	mux := http.NewServeMux()
	mux.Handle(pattern, handler)
	return newRigTransport(tb, "http://"+startServer(tb, mux), opts...)
}

// newClient returns a client whose connections all go to addr.
func newFrontClient(tb testing.TB, addr string, version httpVersion) *http.Client {
	tb.Helper()
	return &http.Client{
		Transport:     newRoundTripper(tb, addr, version),
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Timeout:       patience,
	}
}

// dial opens a connection that gives up when the test has waited enough.
func dial(tb testing.TB, addr string) net.Conn {
	tb.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		tb.Fatal(err)
	}
	return conn
}

// roundTripperFunc is a RoundTripper that answers by itself.
type roundTripperFunc func(*http.Request) (*http.Response, error)

func (f roundTripperFunc) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func newGateway(rt roundTripperFunc, opts ...culvert.GatewayOption) *culvert.Gateway {
	return culvert.NewGateway(rt, opts...)
}

// textResponse is a response as a RoundTripper gives it.
func textResponse(body string) *http.Response {
	return &http.Response{
		StatusCode:    http.StatusOK,
		Header:        make(http.Header),
		Body:          io.NopCloser(strings.NewReader(body)),
		ContentLength: -1,
	}
}
