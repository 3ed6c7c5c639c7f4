package culvert_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"github.com/culvert-http/culvert"
	culvertv1 "github.com/culvert-http/culvert/api/culvert/v1"
)

// tellPeer is an application that says what the RPC was.
var tellPeer = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	peer, _ := culvert.PeerFromContext(r.Context())
	fmt.Fprintf(w, "%s %s", peer.Protocol, peer.Method)
})

func TestTransportChoosesTheMethod(t *testing.T) {
	small := func() io.Reader { return opaque{strings.NewReader("hello")} }
	exact := func() io.Reader { return opaque{strings.NewReader(mebibytes(1))} }
	large := func() io.Reader { return opaque{strings.NewReader(mebibytes(1) + "x")} }
	for _, row := range []struct {
		http2 bool
		body  func() io.Reader
		want  string
	}{
		{true, small, "grpc Exchange"},
		{true, large, "grpc Exchange"},
		{false, small, "grpcweb Download"},
		{false, exact, "grpcweb Download"},
		{false, large, "grpcweb Upload"},
	} {
		r := newRigSpeaking(t, tellPeer, row.http2)
		if got := readBody(t, r.do(t, newRigRequest(t, http.MethodPost, "/", row.body()))); got != row.want {
			t.Errorf("HTTP/2 %v: %s, want %s", row.http2, got, row.want)
		}
	}
}

func TestTransportExchangeNeedsHTTP2(t *testing.T) {
	r := newRigSpeaking(t, tellPeer, false, culvert.WithMethod(culvert.MethodExchange))
	body := &closeRecorder{Reader: strings.NewReader("x")}
	resp, err := r.transport.RoundTrip(newRigRequest(t, http.MethodPost, "/", body))
	if err == nil {
		_ = resp.Body.Close()
	}
	wantCause(t, err, culvertv1.Cause_CAUSE_HTTP2_REQUIRED)
	if err != nil && !strings.Contains(err.Error(), "download") {
		t.Errorf("error %v does not say what works", err)
	}
	if !body.closed.Load() {
		t.Error("body is not closed")
	}
}

func TestTransportBoundsWhatIsBuffered(t *testing.T) {
	app := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(w, r.Body); err != nil {
			panic(http.ErrAbortHandler)
		}
	})
	large := mebibytes(3) + "x"
	for _, w := range ways() {
		t.Run(w.String(), func(t *testing.T) {
			r := newRigSpeaking(t, app, w.http2, w.options()...)
			resp, err := r.transport.RoundTrip(newRigRequest(t, http.MethodPost, "/", opaque{strings.NewReader(large)}))
			var got []byte
			if err == nil {
				got, err = io.ReadAll(resp.Body)
				_ = resp.Body.Close()
			}
			switch {
			case w.streamsRequest() && w.streamsResponse():
				if err != nil || string(got) != large {
					t.Errorf("%d bytes, %v", len(got), err)
				}
			case w.streamsRequest():
				wantCause(t, err, culvertv1.Cause_CAUSE_RESPONSE_TOO_LARGE)
			default:
				wantCause(t, err, culvertv1.Cause_CAUSE_REQUEST_BODY_TOO_LARGE)
			}
		})
	}
	// Both ends with a larger bound.
	mux := http.NewServeMux()
	mux.Handle(culvert.NewHandler(app, culvert.WithMaxBodyBytes(4<<20)))
	transport := newRigTransport(t, serveRig(t, mux, true).URL,
		culvert.WithMaxBufferedBytes(4<<20), culvert.WithMethod(culvert.MethodCall))
	resp, err := transport.RoundTrip(newRigRequest(t, http.MethodPost, "/", strings.NewReader(large)))
	if err != nil {
		t.Fatal(err)
	}
	if got := readBody(t, resp); got != large {
		t.Errorf("%d bytes came back", len(got))
	}
}

// countingDialer counts the connections.
type countingDialer struct{ dials atomic.Int32 }

func (d *countingDialer) dial(ctx context.Context, network, address string) (net.Conn, error) {
	d.dials.Add(1)
	return new(net.Dialer).DialContext(ctx, network, address)
}

func TestTransportAsksOnce(t *testing.T) {
	for _, http2 := range []bool{true, false} {
		var dialer countingDialer
		var unusual atomic.Int32
		pattern, handler := culvert.NewHandler(tellPeer)
		server := serveRig(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if !strings.HasPrefix(r.URL.Path, pattern) && r.Method != "PRI" { // as HTTP/1.1 takes the preface
				unusual.Add(1)
			}
			handler.ServeHTTP(w, r)
		}), http2)
		method := culvert.MethodAuto
		if http2 {
			method = culvert.MethodExchange
		}
		transport := newRigTransport(t, server.URL, culvert.WithDialContext(dialer.dial), culvert.WithMethod(method))
		for range 3 {
			resp, err := transport.RoundTrip(newRigRequest(t, http.MethodGet, "/", nil))
			if err != nil {
				t.Fatal(err)
			}
			readBody(t, resp)
		}
		if got := dialer.dials.Load(); got != 2 {
			t.Errorf("HTTP/2 %v: %d connections, want one to ask and one to use", http2, got)
		}
		if got := unusual.Load(); got != 0 {
			t.Errorf("HTTP/2 %v: %d other requests", http2, got)
		}
	}
}

// A server that comes back speaking something else is asked again.
func TestTransportForgetsWhatProvesWrong(t *testing.T) {
	mux := http.NewServeMux()
	mux.Handle(culvert.NewHandler(tellPeer))
	var address atomic.Value
	dial := func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, address.Load().(string))
	}
	transport := newRigTransport(t, "http://server.example", culvert.WithDialContext(dial), culvert.WithTries(1))
	for i, http2 := range []bool{true, false, true} {
		server := serveRig(t, mux, http2)
		address.Store(server.Listener.Addr().String())
		var got string
		var err error
		for try := 0; try < 3 && got == ""; try++ { // one loses the connection, one finds out that something has changed
			var resp *http.Response
			if resp, err = transport.RoundTrip(newRigRequest(t, http.MethodGet, "/", nil)); err == nil {
				got = readBody(t, resp)
			}
		}
		want := map[bool]string{true: "grpc Exchange", false: "grpcweb Download"}[http2]
		if got != want && !(i == 2 && got == "grpcweb Download") { // HTTP/1.1 works with both
			t.Errorf("server %d: %q, %v; want %q", i, got, err, want)
		}
		server.CloseClientConnections()
		server.Close()
	}
}

func TestTransportSaysThatTheServerIsNotThere(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = listener.Close()
	transport := newRigTransport(t, "http://"+listener.Addr().String())
	for range 2 {
		body := &closeRecorder{Reader: strings.NewReader("x")}
		resp, err := transport.RoundTrip(newRigRequest(t, http.MethodPost, "/", body))
		if err == nil {
			_ = resp.Body.Close()
		}
		wantCause(t, err, culvertv1.Cause_CAUSE_UPSTREAM_UNREACHABLE)
		var tunnelErr *culvert.Error
		if errors.As(err, &tunnelErr) && (!tunnelErr.NotStarted || tunnelErr.Remote) {
			t.Errorf("not started %v, remote %v", tunnelErr.NotStarted, tunnelErr.Remote)
		}
		if !body.closed.Load() {
			t.Error("body is not closed")
		}
	}
}

// silentServer takes connections and says nothing.
func silentServer(tb testing.TB) string {
	tb.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = listener.Close() })
	return "http://" + listener.Addr().String()
}

func TestTransportDoesNotWaitForASilentServer(t *testing.T) {
	transport := newRigTransport(t, silentServer(t), culvert.WithDialTimeout(50*time.Millisecond))
	resp, err := transport.RoundTrip(newRigRequest(t, http.MethodGet, "/", nil))
	if err == nil {
		_ = resp.Body.Close()
	}
	wantCause(t, err, culvertv1.Cause_CAUSE_UPSTREAM_UNREACHABLE)

	transport = newRigTransport(t, silentServer(t))
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	resp, err = transport.RoundTrip(newRigRequest(t, http.MethodGet, "/", nil).WithContext(ctx))
	if err == nil {
		_ = resp.Body.Close()
	}
	wantCause(t, err, culvertv1.Cause_CAUSE_DEADLINE_EXCEEDED)
}

func TestTransportNoticesABlackHole(t *testing.T) {
	for _, method := range []culvert.Method{culvert.MethodExchange, culvert.MethodSession} {
		t.Run(method.String(), func(t *testing.T) { testBlackHole(t, method) })
	}
}

func testBlackHole(t *testing.T, method culvert.Method) {
	t.Helper()
	app := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	})
	var hole atomic.Bool
	dial := func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, network, address)
		return &holeConn{Conn: conn, hole: &hole, closed: make(chan struct{})}, err
	}
	r := newRig(t, app, culvert.WithDialContext(dial), culvert.WithPing(50*time.Millisecond, time.Second), culvert.WithMethod(method))
	resp := r.get(t, "/")
	hole.Store(true)
	if _, err := io.ReadAll(resp.Body); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("error %v", err)
	}
}

// holeConn is a connection whose bytes can be made to vanish.
type holeConn struct {
	net.Conn
	hole   *atomic.Bool
	once   sync.Once
	closed chan struct{}
}

func (c *holeConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if c.hole.Load() {
		<-c.closed
		return 0, net.ErrClosed
	}
	return n, err
}

func (c *holeConn) Write(p []byte) (int, error) {
	if c.hole.Load() {
		return len(p), nil
	}
	return c.Conn.Write(p)
}

func (c *holeConn) Close() error {
	c.once.Do(func() { close(c.closed) })
	return c.Conn.Close()
}

func TestTransportWindowsAreThoseOfTheOption(t *testing.T) {
	for _, method := range []culvert.Method{culvert.MethodExchange, culvert.MethodSession} {
		t.Run(method.String(), func(t *testing.T) { testWindows(t, method) })
	}
}

func testWindows(t *testing.T, method culvert.Method) {
	t.Helper()
	settings := make(chan string, 1)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	go func() {
		for { // the first connection only asks
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			if text := readWindows(conn); text != "" {
				settings <- text
			}
			_ = conn.Close()
		}
	}()
	transport := newRigTransport(t, "http://"+listener.Addr().String(), culvert.WithMethod(method))
	go func() {
		resp, err := transport.RoundTrip(newRigRequest(t, http.MethodGet, "/", nil))
		if err == nil {
			_ = resp.Body.Close()
		}
	}()
	want := fmt.Sprint(culvert.DefaultStreamWindow, culvert.DefaultConnWindow)
	if method == culvert.MethodSession { // net/http's client counts what there is at first on top
		want = fmt.Sprint(culvert.DefaultStreamWindow, culvert.DefaultConnWindow-65_535)
	}
	if got := await(t, "settings", settings); got != want {
		t.Errorf("windows %s, want %s", got, want)
	}
}

func readWindows(conn net.Conn) string {
	_, _ = io.ReadFull(conn, make([]byte, len(http2.ClientPreface)))
	framer := http2.NewFramer(conn, conn)
	_ = framer.WriteSettings()
	stream := uint32(0)
	for {
		frame, err := framer.ReadFrame()
		if err != nil {
			return ""
		}
		switch frame := frame.(type) {
		case *http2.SettingsFrame:
			stream, _ = frame.Value(http2.SettingInitialWindowSize)
		case *http2.WindowUpdateFrame:
			return fmt.Sprint(stream, frame.Increment)
		}
	}
}

func TestTransportHeaderIsTheRPCs(t *testing.T) {
	app := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		peer, _ := culvert.PeerFromContext(r.Context())
		fmt.Fprintf(w, "%q %q %q", peer.Header["Authorization"], r.Header["Authorization"], peer.Header["Content-Type"])
	})
	header := http.Header{"Authorization": {"tunnel"}, "Content-Type": {"text/plain"}}
	r := newRig(t, app, culvert.WithHTTPHeader(header))
	req := newRigRequest(t, http.MethodGet, "/", nil)
	req.Header.Set("Authorization", "application")
	if got, want := readBody(t, r.do(t, req)), `["tunnel"] ["application"] ["application/grpc"]`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func newTLSRig(tb testing.TB, http2 bool, opts ...culvert.TransportOption) *rig {
	tb.Helper()
	mux := http.NewServeMux()
	mux.Handle(culvert.NewHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		peer, _ := culvert.PeerFromContext(r.Context())
		fmt.Fprintf(w, "%s %d", peer.Method, len(peer.TLS.PeerCertificates))
	})))
	server := httptest.NewUnstartedServer(mux)
	server.EnableHTTP2 = http2
	server.TLS = &tls.Config{ClientAuth: tls.RequestClientCert}
	server.StartTLS()
	tb.Cleanup(server.Close)
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	config := &tls.Config{RootCAs: roots, Certificates: server.TLS.Certificates, MinVersion: tls.VersionTLS12}
	return &rig{server: server, transport: newRigTransport(tb, server.URL, append(opts, culvert.WithTLSConfig(config))...)}
}

func TestTransportSpeaksTLS(t *testing.T) {
	for _, row := range []struct {
		http2  bool
		method culvert.Method
		want   string
	}{
		{true, culvert.MethodExchange, "Exchange 1"},
		{true, culvert.MethodSession, "Session 1"},
		{false, culvert.MethodAuto, "Download 1"},
	} {
		var dialer countingDialer
		r := newTLSRig(t, row.http2, culvert.WithDialContext(dialer.dial), culvert.WithMethod(row.method))
		for range 3 {
			if got := readBody(t, r.get(t, "/")); got != row.want {
				t.Errorf("HTTP/2 %v: %s, want %s", row.http2, got, row.want)
			}
		}
		if got := dialer.dials.Load(); got != 1 {
			t.Errorf("HTTP/2 %v, %v: %d connections", row.http2, row.method, got)
		}
		transport := newRigTransport(t, r.server.URL) // does not know the certificate
		resp, err := transport.RoundTrip(newRigRequest(t, http.MethodGet, "/", nil))
		if err == nil {
			_ = resp.Body.Close()
		}
		if _, ok := errors.AsType[*tls.CertificateVerificationError](err); !ok {
			t.Errorf("error %v", err)
		}
	}
}

func TestTransportCloseEndsEverything(t *testing.T) {
	began := make(chan struct{})
	app := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).Flush()
		began <- struct{}{}
		<-r.Context().Done()
	})
	for _, w := range ways() {
		t.Run(w.String(), func(t *testing.T) {
			r := w.newRig(t, app)
			if w.unwatched() {
				t.Skip("the server does not see that the client is gone")
			}
			ended := make(chan error, 1)
			body := newSilentBody()
			go func() {
				var upload io.Reader
				if w.streamsRequest() && w.http2 {
					upload = body
				}
				resp, err := r.transport.RoundTrip(newRigRequest(t, http.MethodPost, "/", upload))
				if err == nil {
					_, err = io.ReadAll(resp.Body)
					_ = resp.Body.Close()
				}
				ended <- err
			}()
			await(t, "the handler", began)
			if err := r.transport.Close(); err != nil {
				t.Error(err)
			}
			if err := await(t, "end of the exchange", ended); !errors.Is(err, culvert.ErrTransportClosed) {
				t.Errorf("error %v", err)
			}
			resp, err := r.transport.RoundTrip(newRigRequest(t, http.MethodGet, "/", nil))
			if err == nil {
				_ = resp.Body.Close()
			}
			if !errors.Is(err, culvert.ErrTransportClosed) {
				t.Errorf("error after Close: %v", err)
			}
		})
	}
}
