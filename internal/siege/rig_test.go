package siege

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/protobuf/proto"

	"github.com/culvert-http/culvert"
	culvertv1 "github.com/culvert-http/culvert/api/culvert/v1"
	"github.com/culvert-http/culvert/internal/server"
	"github.com/culvert-http/culvert/internal/testcert"
)

// undefended has every bound turned off that an attacker is to run into, to see
// that the tests fail then: CULVERT_UNDEFENDED=1.
var undefended = os.Getenv("CULVERT_UNDEFENDED") != ""

// patience is how long a test waits for what must happen.
var patience = time.Minute

// short is a bound on time that an attacker is to run into.
const short = 100 * time.Millisecond

func TestMain(m *testing.M) {
	if undefended {
		patience = 5 * time.Second
	}
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("net/http.(*conn).closeWriteAndWait"))
}

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

// bounds are what a test sets.
type bounds struct {
	server    server.Config
	handler   []culvert.HandlerOption
	gateway   []culvert.GatewayOption
	transport []culvert.TransportOption // of the gateway
}

// overTLS returns the bounds for a server with TLS.
func (b bounds) overTLS(tb testing.TB) bounds {
	tb.Helper()
	var err error
	b.server.TLS, err = testcert.NewServer()
	must(tb, err)
	return b
}

// front is what is attacked: serve or the gateway.
type front struct {
	addr      string
	trust     *tls.Config // of those who connect to it, nil without TLS
	isGateway bool
	app       *app
	// conns counts what runs for each of its connections: exchanges of the
	// application behind serve, requests at the gateway.
	conns *perConn
}

// perConn counts what runs at once for each connection.
type perConn struct {
	mu      sync.Mutex
	running map[string]int // by remote address
	most    int
}

// count serves a request, and counts it meanwhile.
func (c *perConn) count(handler http.Handler, w http.ResponseWriter, r *http.Request) {
	c.add(r.RemoteAddr, 1)
	defer c.add(r.RemoteAddr, -1)
	handler.ServeHTTP(w, r)
}

func (c *perConn) add(conn string, n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.running == nil {
		c.running = make(map[string]int)
	}
	c.running[conn] += n
	c.most = max(c.most, c.running[conn])
	if c.running[conn] == 0 {
		delete(c.running, conn)
	}
}

// peak is the most that has run at once for one connection.
func (c *perConn) peak() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.most
}

// countedGateway is a gateway whose requests are counted.
type countedGateway struct {
	*culvert.Gateway
	conns *perConn
}

// ServeHTTP implements http.Handler.
func (g countedGateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	g.conns.count(g.Gateway, w, r)
}

// rawRequest is a request as it is put on the wire.
type rawRequest struct {
	method, path, contentType string
	body                      []byte
}

// of returns the request by which a front gets a path of the application.
func (f *front) of(path string) rawRequest {
	if f.isGateway {
		return rawRequest{method: http.MethodGet, path: path}
	}
	frame := &culvertv1.RequestFrame{Head: &culvertv1.RequestHead{Method: http.MethodGet, Path: path}, End: true}
	return rawRequest{http.MethodPost, "/" + culvert.ServiceName + "/Download", "application/grpc+proto", envelope(frame)}
}

// upload returns a request of a body that does not end, and what its parts are.
func (f *front) upload() (request rawRequest, part []byte) {
	if f.isGateway {
		return rawRequest{method: http.MethodPost, path: "/", contentType: "text/plain"}, []byte("x")
	}
	head := &culvertv1.RequestFrame{Head: &culvertv1.RequestHead{Method: http.MethodPost, Path: "/"}}
	request = rawRequest{http.MethodPost, "/" + culvert.ServiceName + "/Exchange", "application/grpc+proto", envelope(head)}
	return request, envelope(&culvertv1.RequestFrame{Data: []byte("x")})
}

// envelope returns a message as gRPC has it.
func envelope(message proto.Message) []byte {
	body, err := proto.Marshal(message)
	if err != nil {
		panic(err)
	}
	return append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(body))), body...)
}

// largeBody is the length of /large, in bytes.
const largeBody = 16 << 20

// app is the application.
//
//	/         answers with its request's body
//	/small    answers with a few bytes
//	/endless  writes until its client has gone
//	/busy     works for a moment, whether or not its client is there
//	/large    answers with many bytes
//	/unread   reads nothing until its client has gone
type app struct {
	begun atomic.Int64 // of /endless and /unread
	ended atomic.Int64 // of /endless
	busy  atomic.Int64 // of /busy
}

// ServeHTTP implements http.Handler.
func (a *app) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/endless":
		a.begun.Add(1)
		chunk := make([]byte, 16<<10)
		for {
			if _, err := w.Write(chunk); err != nil {
				a.ended.Add(1)
				return
			}
		}
	case "/large":
		_, _ = w.Write(make([]byte, largeBody))
	case "/unread":
		a.begun.Add(1)
		<-r.Context().Done()
	case "/small":
		_, _ = io.WriteString(w, "small")
	case "/busy":
		a.busy.Add(1)
		<-time.After(time.Millisecond)
	default:
		_, _ = io.Copy(w, r.Body)
	}
}

// without are the bounds when there are none.
var without = bounds{
	server:  server.Config{HeaderTimeout: time.Hour, StallTimeout: -1, PingInterval: -1, ConnIdleTimeout: -1, MaxResetsPerConn: -1, ResetRatePerPeer: -1},
	handler: []culvert.HandlerOption{culvert.WithHeadTimeout(0), culvert.WithIdleTimeout(0), culvert.WithStallTimeout(0)},
	gateway: []culvert.GatewayOption{culvert.WithGatewayIdleTimeout(0), culvert.WithGatewayStallTimeout(0)},
}

// orWithout returns the bounds, or none where there are to be none.
func (b bounds) orWithout() bounds {
	if !undefended {
		return b
	}
	none := without
	none.server.TLS = b.server.TLS
	return none
}

// startServe starts a serve.
func startServe(tb testing.TB, b bounds) *front {
	tb.Helper()
	b = b.orWithout()
	conns := &perConn{}
	f := &front{app: &app{}, conns: conns}
	counted := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { conns.count(f.app, w, r) })
	pattern, handler := culvert.NewHandler(counted, append(b.handler, culvert.WithLogger(quiet))...)
	b.server.Pattern, b.server.Handler = pattern, handler
	f.listen(tb, b.server)
	return f
}

// startGateway starts a gateway in front of a serve without short bounds.
func startGateway(tb testing.TB, b bounds) *front {
	tb.Helper()
	f := startServe(tb, bounds{})
	transport, err := culvert.NewTransport("http://"+f.addr, b.transport...)
	must(tb, err)
	tb.Cleanup(func() { _ = transport.Close() })
	b = b.orWithout()
	gateway := culvert.NewGateway(transport, b.gateway...)
	tb.Cleanup(func() { // nothing uses the transport when it is closed
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := gateway.Shutdown(ctx); err != nil {
			tb.Error(err)
		}
	})
	f.conns = &perConn{}
	b.server.Pattern, b.server.Handler = "/", countedGateway{gateway, f.conns}
	f.isGateway = true
	f.listen(tb, b.server)
	return f
}

var quiet = slog.New(slog.DiscardHandler)

func (f *front) listen(tb testing.TB, config server.Config) {
	tb.Helper()
	config.Logger = quiet
	if config.TLS != nil {
		f.trust = &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS12}
	}
	srv, err := server.New(config)
	must(tb, err)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(tb, err)
	served := make(chan error, 1)
	go func() { served <- srv.Serve(listener) }()
	tb.Cleanup(func() {
		_ = srv.Close()
		if err := <-served; err != nil {
			tb.Error(err)
		}
	})
	f.addr = listener.Addr().String()
}

func (f *front) url() string {
	if f.trust != nil {
		return "https://" + f.addr
	}
	return "http://" + f.addr
}

// newHonest returns a function that makes one small request, as others than the
// attacker do.
func newHonest(tb testing.TB, f *front) func() error {
	tb.Helper()
	var rt http.RoundTripper
	if f.isGateway {
		plain := &http.Transport{TLSClientConfig: f.trust.Clone()}
		tb.Cleanup(plain.CloseIdleConnections)
		rt = plain
	} else {
		transport, err := culvert.NewTransport(f.url(), culvert.WithTLSConfig(f.trust.Clone()))
		must(tb, err)
		tb.Cleanup(func() { _ = transport.Close() })
		rt = transport
	}
	return func() error {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, f.url()+"/", nil)
		if err != nil {
			return err
		}
		resp, err := rt.RoundTrip(r)
		if err != nil {
			return err
		}
		_, err = io.Copy(io.Discard, resp.Body)
		if resp.StatusCode != http.StatusOK {
			err = errors.New("status " + strconv.Itoa(resp.StatusCode))
		}
		return errors.Join(err, resp.Body.Close())
	}
}
