package culvert_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/culvert-http/culvert"
)

// passedRequests are requests that take the short way through a gateway.
var passedRequests = []string{
	"GET / HTTP/1.1\r\nHost: a.example\r\nUser-Agent: curl\r\nAccept: */*\r\nAccept: text/html\r\n\r\n",
	"GET /%2e?a=|b HTTP/1.1\r\nHost: a.example:81\r\nUser-Agent:\r\n\r\n",
	"GET //a/\xff HTTP/1.1\r\nHost: a.example\r\nX-Raw: \xff\xfe\r\nX-Empty:\r\n\r\n",
	"HEAD http://b.example/c HTTP/1.1\r\nHost: a.example\r\n\r\n",
	"OPTIONS * HTTP/1.1\r\nHost: a.example\r\n\r\n",
	"POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 0\r\n\r\n",
	"DELETE / HTTP/1.0\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: a.example\r\nConnection: keep-alive, x-hop\r\nX-Hop: 1\r\nKeep-Alive: 1\r\nProxy-Connection: close\r\nTrailer: X-Sum\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: a.example\r\nTe: gzip, trailers\r\nTe: trailers\r\nConnection: te\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: a.example\r\nTe: gzip\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: a.example\r\nConnection: upgrade\r\nUpgrade: h2c\r\nHttp2-Settings: x\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: a.example\r\nCookie: a=b\r\nCookie: c=d\r\nAuthorization: x\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: a.example\r\nVia: 1.0 other, 1.1 one\r\nVia: 1.1 two\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: [fe80::1%25eth0]:80\r\nRemote: [2001:db8::1]:80\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: a.example\r\nRemote: [fe80::1%25eth0]:80\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: a.example\r\nRemote: [::ffff:192.0.2.1]:80\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: a.example\r\nRemote: @\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: a.example\r\nCertificate: AAAA\r\nClient-Cert: :BBBB:\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: a.example\r\n" + forwardedFields + "\r\n",
	"GET / HTTP/1.1\r\nHost: a.example\r\nRemote: 192.0.2.1:80\r\n" + forwardedFields + "\r\n",
}

// TestGatewayShortWay compares what arrives of a request that a gateway passes on
// by itself with what does where it cannot, as it does not know its RoundTripper.
func TestGatewayShortWay(t *testing.T) {
	loopback := culvert.WithTrustedNetworks(netip.MustParsePrefix("127.0.0.0/8")) // or they drop the fields
	mux := http.NewServeMux()
	mux.Handle(culvert.NewHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var text strings.Builder
		fmt.Fprintf(&text, "%s %q %s length %d %v\n", r.Method, r.RequestURI, r.Host, r.ContentLength, r.TransferEncoding)
		client, _, _ := net.SplitHostPort(r.RemoteAddr)
		fmt.Fprintf(&text, "from %q\n", client)
		_ = r.Header.Write(&text)
		w.Header().Set("Seen", strconv.Quote(gatewayNames.ReplaceAllString(text.String(), "culvert-x")))
		w.Header()["Set-Cookie"] = []string{"a", "b"}
		fmt.Fprint(w, "hello")
	}), loopback))
	tunnel := newRigTransport(t, "http://"+startServer(t, mux))
	for name, options := range map[string][]culvert.GatewayOption{
		"plain":   nil,
		"trusted": {culvert.WithTrustedProxies(netip.MustParsePrefix("127.0.0.0/8"))},
		"bounded": {culvert.WithGatewayMaxDuration(time.Minute)},
	} {
		t.Run(name, func(t *testing.T) {
			short := startServer(t, fromRemote(culvert.NewGateway(tunnel, options...)))
			long := startServer(t, fromRemote(culvert.NewGateway(struct{ http.RoundTripper }{tunnel}, options...)))
			for _, request := range passedRequests {
				want, got := answerTo(t, long, request), answerTo(t, short, request)
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("%q\nthe long way (-), the short way (+):\n%s", request, diff)
				}
			}
		})
	}
}

// gatewayNames are the names of gateways in Via, which differ.
var gatewayNames = regexp.MustCompile(`culvert-\w+`)

// fromRemote has requests come from the address in their field Remote, with the
// certificate in their field Certificate.
func fromRemote(gateway http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if remote := r.Header.Get("Remote"); remote != "" {
			r.RemoteAddr = remote
		}
		if certificate := r.Header.Get("Certificate"); certificate != "" {
			r.TLS = &tls.ConnectionState{VerifiedChains: [][]*x509.Certificate{{{Raw: []byte(certificate)}}}}
		}
		gateway.ServeHTTP(w, r)
	})
}

func answerTo(tb testing.TB, addr, request string) seen {
	tb.Helper()
	resp, body := rawRequest(tb, addr, request)
	resp.Header.Del("Date")
	if text, err := strconv.Unquote(resp.Header.Get("Seen")); err == nil {
		resp.Header.Set("Seen", strings.ReplaceAll(text, addr, "the gateway"))
	}
	return seen{Status: resp.StatusCode, Header: resp.Header, Length: resp.ContentLength, Body: body, Trailer: resp.Trailer}
}

// TestGatewayCancelInSession has clients leave while the server works, or while a
// response does not go on.
func TestGatewayCancelInSession(t *testing.T) {
	for _, head := range []bool{false, true} {
		t.Run(fmt.Sprintf("with a head %t", head), func(t *testing.T) {
			started, ended, over := make(chan struct{}), make(chan struct{}), make(chan struct{})
			tunnel := newTunnelTo(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if head {
					_ = http.NewResponseController(w).Flush()
				}
				close(started)
				select {
				case <-r.Context().Done():
					close(ended)
				case <-over:
				}
			}), culvert.WithMethod(culvert.MethodSession))
			addr := startServer(t, culvert.NewGateway(tunnel))
			t.Cleanup(func() { close(over) })
			conn := dial(t, addr)
			fmt.Fprint(conn, "GET / HTTP/1.1\r\nHost: a.example\r\n\r\n")
			within(t, started)
			conn.Close()
			within(t, ended)
		})
	}
}

// TestGatewayStalledShortResponse has clients read nothing of a response that is
// there as a whole, and that the gateway writes itself, or leaves to net/http.
func TestGatewayStalledShortResponse(t *testing.T) {
	for _, test := range []struct {
		name   string
		length int
		writes bool
	}{{"net/http writes", 11, false}, {"the gateway writes", 64 << 10, true}} {
		t.Run(test.name, func(t *testing.T) {
			records := make(chan culvert.Record, 1)
			client, front := net.Pipe() // which holds nothing
			closed := make(chan struct{})
			server := &http.Server{
				Handler: newGateway(func(*http.Request) (*http.Response, error) {
					resp := textResponse("")
					resp.ContentLength = int64(test.length)
					resp.Body = wholeText{strings.NewReader(strings.Repeat("x", test.length))}
					return resp, nil
				},
					culvert.WithGatewayStallTimeout(50*time.Millisecond),
					culvert.WithGatewayObserver(func(_ context.Context, r culvert.Record) { records <- r })),
				ConnState: func(_ net.Conn, state http.ConnState) {
					if state == http.StateClosed {
						close(closed)
					}
				},
			}
			go func() { _ = server.Serve(&oneConnListener{conn: front, closed: make(chan struct{})}) }()
			t.Cleanup(func() { client.Close(); server.Close() })
			fmt.Fprint(client, "GET / HTTP/1.1\r\nHost: a.example\r\n\r\n")
			select {
			case record := <-records:
				if errors.Is(record.Err, context.DeadlineExceeded) != test.writes {
					t.Errorf("recorded %v", record.Err)
				}
			case <-time.After(patience):
				t.Fatal("the gateway waits for its client")
			}
			within(t, closed)
		})
	}
}

// wholeText is a body that says, as a Transport's does, that it is there as a whole.
type wholeText struct{ *strings.Reader }

func (wholeText) Whole() bool  { return true }
func (wholeText) Close() error { return nil }

// oneConnListener accepts one connection.
type oneConnListener struct {
	conn   net.Conn // nil once it was accepted
	closed chan struct{}
	once   sync.Once
}

func (l *oneConnListener) Accept() (net.Conn, error) {
	if conn := l.conn; conn != nil {
		l.conn = nil
		return conn, nil
	}
	<-l.closed
	return nil, net.ErrClosed
}

func (l *oneConnListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (*oneConnListener) Addr() net.Addr { return &net.TCPAddr{} }
