package server

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/culvert-http/culvert"
	"github.com/culvert-http/culvert/internal/testcert"
)

// stateText is what an application can tell of a connection.
func stateText(state *tls.ConnectionState) string {
	if state == nil {
		return "none"
	}
	var text strings.Builder
	fmt.Fprintf(&text, "%x %t %x %q %q %v %t",
		state.Version, state.HandshakeComplete, state.CipherSuite, state.NegotiatedProtocol, state.ServerName, state.CurveID, state.DidResume)
	for _, certificate := range state.PeerCertificates {
		fmt.Fprintf(&text, " shown %x", certificate.SerialNumber)
	}
	for _, chain := range state.VerifiedChains {
		fmt.Fprintf(&text, " verified %x by %v", chain[0].SerialNumber, chain[len(chain)-1].Subject)
	}
	material, err := state.ExportKeyingMaterial("test", nil, 8)
	fmt.Fprintf(&text, " keys %d %v", len(material), err)
	return text.String()
}

// TestRequestTLS asks net/http's own server what a request's TLS is.
func TestRequestTLS(t *testing.T) {
	states := make(chan *tls.ConnectionState, 2)
	app := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { states <- r.TLS })
	authority, err := testcert.NewAuthority("clients")
	if err != nil {
		t.Fatal(err)
	}
	cert, key, err := authority.Issue(nextYear(), "client.example")
	if err != nil {
		t.Fatal(err)
	}
	shown, err := tls.X509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	config := securedConfig(t, app, io.Discard)
	config.TLS.ClientAuth, config.TLS.ClientCAs = tls.VerifyClientCertIfGiven, x509.NewCertPool()
	config.TLS.ClientCAs.AppendCertsFromPEM(authority.PEM)
	_, ours := start(t, config, anyPort)
	theirs := startNetHTTP(t, app, config.TLS)
	for _, http2 := range []bool{false, true} {
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			for name, client := range map[string]*tls.Config{
				"no certificate": {ServerName: "localhost"},
				"certificate":    {ServerName: "localhost", Certificates: []tls.Certificate{shown}},
				"no name":        {},
			} {
				t.Run(fmt.Sprintf("%s, HTTP/2 %t, %s", name, http2, tls.VersionName(version)), func(t *testing.T) {
					client.InsecureSkipVerify, client.MinVersion, client.MaxVersion = true, version, version
					var got []*tls.ConnectionState
					for _, addr := range []string{theirs, ours, ours} {
						asker := newTLSClient(t, client, http2)
						_ = statusOf(t, asker, "https://"+addr+"/")
						got = append(got, <-states)
						_ = statusOf(t, asker, "https://"+addr+"/")
						if again := <-states; again != got[len(got)-1] {
							t.Errorf("the next request of the connection has a state of its own")
						}
					}
					if want := stateText(got[0]); stateText(got[1]) != want || want == "none" {
						t.Errorf("got %s, want %s", stateText(got[1]), want)
					}
					if got[1] == got[2] {
						t.Error("two connections have one state")
					}
				})
			}
		}
	}
}

// startNetHTTP serves h as net/http alone does.
func startNetHTTP(tb testing.TB, h http.Handler, config *tls.Config) string {
	tb.Helper()
	listener, err := net.Listen("tcp", anyPort)
	if err != nil {
		tb.Fatal(err)
	}
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true)
	srv := &http.Server{Handler: h, TLSConfig: config.Clone(), Protocols: &protocols, ReadHeaderTimeout: patience}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = srv.ServeTLS(listener, "", "")
	}()
	tb.Cleanup(func() {
		_ = srv.Close()
		<-done
	})
	return listener.Addr().String()
}

// A client of HTTP/2 may say that a request is of http where the connection is not.
func TestSchemeDoesNotHideTLS(t *testing.T) {
	states := make(chan *tls.ConnectionState, 1)
	_, addr := start(t, securedConfig(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { states <- r.TLS }), io.Discard), anyPort)
	for _, scheme := range []string{"http", "https"} {
		conn := dialTLS(t, addr, &tls.Config{NextProtos: []string{"h2"}})
		var block bytes.Buffer
		encoder := hpack.NewEncoder(&block)
		for _, field := range [][2]string{{":method", "GET"}, {":scheme", scheme}, {":authority", "localhost"}, {":path", "/"}} {
			_ = encoder.WriteField(hpack.HeaderField{Name: field[0], Value: field[1]})
		}
		framer := http2.NewFramer(conn, nil)
		_, err := io.WriteString(conn, http2.ClientPreface)
		err = errors.Join(err, framer.WriteSettings(), framer.WriteHeaders(http2.HeadersFrameParam{
			StreamID: 1, BlockFragment: block.Bytes(), EndHeaders: true, EndStream: true,
		}))
		if err != nil {
			t.Fatal(err)
		}
		if state := <-states; state == nil || state.NegotiatedProtocol != "h2" {
			t.Errorf("%s: %s", scheme, stateText(state))
		}
	}
}

// TestTLSIsLookedInto has requests in chunks on a connection, which may stay open
// where it is known that they have no length.
func TestTLSIsLookedInto(t *testing.T) {
	_, addr := start(t, securedConfig(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(w, r.Body)
	}), io.Discard), anyPort)
	conn := dialTLS(t, addr, &tls.Config{})
	reader := bufio.NewReader(conn)
	for i, length := range []string{"", "", "Content-Length: 5\r\n"} {
		_, err := io.WriteString(conn, "POST / HTTP/1.1\r\nHost: localhost\r\n"+length+"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n")
		if err != nil {
			t.Fatal(err)
		}
		response, err := http.ReadResponse(reader, nil)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(response.Body)
		if string(body) != "hello" || err != nil || response.Close != (length != "") {
			t.Errorf("request %d: %q, %v, the connection closes: %t", i, body, err, response.Close)
		}
	}
	if n, err := reader.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("after the last: %d, %v, want EOF", n, err)
	}
}

// TestFloodOverTLS has a client send what is to be answered, and no more.
func TestFloodOverTLS(t *testing.T) {
	_, addr := start(t, securedConfig(t, ok, io.Discard), anyPort)
	conn := dialTLS(t, addr, &tls.Config{NextProtos: []string{"h2"}})
	framer := http2.NewFramer(conn, conn)
	_, err := io.WriteString(conn, http2.ClientPreface)
	if err = errors.Join(err, framer.WriteSettings()); err != nil {
		t.Fatal(err)
	}
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		_, _ = io.Copy(io.Discard, conn)
	}()
	for err == nil {
		err = framer.WritePing(false, [8]byte{})
	}
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		t.Errorf("the flood went on: %v", err)
	}
	<-drained
}

// TestOverBoundsWithTLS has a connection more than there may be.
func TestOverBoundsWithTLS(t *testing.T) {
	config := securedConfig(t, ok, io.Discard)
	config.MaxConns = 1
	_, addr := start(t, config, anyPort)
	_ = dialTLS(t, addr, &tls.Config{}) // which stays
	for _, http2 := range []bool{false, true} {
		second := newTLSClient(t, &tls.Config{InsecureSkipVerify: true}, http2)
		if status := statusOf(t, second, "https://"+addr+"/"); status != http.StatusServiceUnavailable {
			t.Errorf("one more, HTTP/2 %t: status %d, want 503", http2, status)
		}
	}
}

// TestTooLargeHeadOverTLS has the answer reach a client that goes on writing.
func TestTooLargeHeadOverTLS(t *testing.T) {
	config := securedConfig(t, ok, io.Discard)
	config.MaxHeaderBytes = 1 << 10
	_, addr := start(t, config, anyPort)
	conn := dialTLS(t, addr, &tls.Config{})
	if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: localhost\r\nX-Large: "+strings.Repeat("x", 16<<10)); err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(conn)
	if !strings.HasPrefix(string(answer), "HTTP/1.1 431 ") || err != nil {
		t.Errorf("answered %.50q, %v, want 431 and a polite end", answer, err)
	}
}

// TestHijackOverTLS takes a connection over, as WebSockets do.
func TestHijackOverTLS(t *testing.T) {
	_, addr := start(t, securedConfig(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		conn, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\n\r\n")
		_, _ = io.Copy(conn, rw)
	}), io.Discard), anyPort)
	conn := dialTLS(t, addr, &tls.Config{})
	if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\nat once "); err != nil {
		t.Fatal(err)
	}
	reader := bufio.NewReader(conn)
	if response, err := http.ReadResponse(reader, nil); err != nil || response.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("%v, %v, want 101", response, err)
	}
	if _, err := io.WriteString(conn, "and later"); err != nil {
		t.Fatal(err)
	}
	if err := conn.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(reader); string(got) != "at once and later" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
}

// TestCutOverTLS has a response that only the end of its connection ends be cut:
// its client must not take that for its end.
func TestCutOverTLS(t *testing.T) {
	broken := roundTripper(func(*http.Request) (*http.Response, error) {
		body := io.MultiReader(strings.NewReader("half"), errorReader{})
		return &http.Response{StatusCode: http.StatusOK, Header: make(http.Header), ContentLength: -1, Body: io.NopCloser(body)}, nil
	})
	config := securedConfig(t, nil, io.Discard)
	config.Handler = culvert.NewGateway(broken)
	_, addr := start(t, config, anyPort)
	conn := dialTLS(t, addr, &tls.Config{})
	if _, err := io.WriteString(conn, "GET / HTTP/1.0\r\nHost: localhost\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if answer, err := io.ReadAll(conn); err == nil {
		t.Errorf("%q ends as if it were whole", answer)
	}
}

type errorReader struct{}

// Read implements io.Reader.
func (errorReader) Read([]byte) (int, error) { return 0, errors.New("broken") }

// Shutdown does not wait for connections that nothing was asked on, whether they
// are through with the handshake or not.
func TestShutdownDoesNotWaitForUnusedConnectionsOfTLS(t *testing.T) {
	srv, addr := start(t, securedConfig(t, ok, io.Discard), anyPort)
	silent, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	unused := dialTLS(t, addr, &tls.Config{NextProtos: []string{"h2"}})
	if status := statusOf(t, newTLSClient(t, &tls.Config{InsecureSkipVerify: true}, false), "https://"+addr+"/"); status != http.StatusOK {
		t.Fatal(status)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second) // net/http would wait for 5
	defer cancel()
	if err := srv.Shutdown(ctx); err != nil {
		t.Errorf("Shutdown() = %v", err)
	}
	if n, err := unused.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("Read() of the unused connection = %d, %v, want EOF", n, err)
	}
	if n, err := silent.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("Read() of the silent connection = %d, %v, want EOF", n, err)
	}
}

// TestShutdownOverTLS has what runs finish.
func TestShutdownOverTLS(t *testing.T) {
	for _, http2 := range []bool{false, true} {
		t.Run(fmt.Sprintf("HTTP/2 %t", http2), func(t *testing.T) {
			begun, finish := make(chan struct{}), make(chan struct{})
			app := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				close(begun)
				<-finish
				_, _ = io.WriteString(w, r.Proto)
			})
			srv, addr := start(t, securedConfig(t, app, io.Discard), anyPort)
			context.AfterFunc(srv.closing, func() { close(finish) }) // the last there is before connections close
			status := make(chan int, 1)
			client := newTLSClient(t, &tls.Config{InsecureSkipVerify: true}, http2)
			go func() { status <- statusOf(t, client, "https://"+addr+"/") }()
			<-begun
			if err := srv.Shutdown(testContext(t)); err != nil {
				t.Errorf("Shutdown() = %v", err)
			}
			if got := <-status; got != http.StatusOK {
				t.Errorf("status %d, want 200", got)
			}
		})
	}
}
