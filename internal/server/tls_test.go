package server

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"

	"github.com/culvert-http/culvert/internal/testcert"
)

// alone is a handler that gets everything, and has nothing to drain.
type alone struct{ http.Handler }

// Shutdown implements Drainer.
func (alone) Shutdown(context.Context) error { return nil }

// ok answers with the protocol of the request.
var ok = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.Proto) })

// securedConfig is that of a server of h alone, with a certificate of its own.
func securedConfig(tb testing.TB, h http.Handler, log io.Writer) Config {
	tb.Helper()
	secured, err := testcert.NewServer()
	if err != nil {
		tb.Fatal(err)
	}
	secured.SessionTicketsDisabled = true // they come unasked, and a test without buffers does not read them
	return Config{
		Pattern: "/", Handler: alone{h}, AnyHost: true, TLS: secured,
		Logger: slog.New(slog.NewTextHandler(log, nil)),
	}
}

// lockedBuffer is a log that is read while it is written.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

// Write implements io.Writer.
func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

// String returns what was written.
func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// dialTLS connects, and gives up when the test has waited enough.
func dialTLS(tb testing.TB, addr string, config *tls.Config) *tls.Conn {
	tb.Helper()
	config.InsecureSkipVerify = true
	conn, err := (&tls.Dialer{Config: config}).DialContext(testContext(tb), "tcp", addr)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		tb.Fatal(err)
	}
	secured, _ := conn.(*tls.Conn)
	return secured
}

// TestHandshakeIsBounded has clients that do not get on with it. Time is not real,
// and nothing is buffered between them and the server.
func TestHandshakeIsBounded(t *testing.T) {
	client := func(conn net.Conn, protocols ...string) *tls.Conn {
		return tls.Client(conn, &tls.Config{InsecureSkipVerify: true, NextProtos: protocols})
	}
	for name, test := range map[string]struct {
		do     func(t *testing.T, conn net.Conn)
		logged string // "" means nothing
	}{
		"says nothing": {func(t *testing.T, conn net.Conn) {}, "TLS handshake failed"},
		"half a ClientHello": {func(t *testing.T, conn net.Conn) {
			_, err := conn.Write(clientHello(t)[:100])
			if err != nil {
				t.Error(err)
			}
		}, "TLS handshake failed"},
		"reads nothing": {func(t *testing.T, conn net.Conn) {
			if _, err := conn.Write(clientHello(t)); err != nil {
				t.Error(err)
			}
			<-time.After(2 * DefaultHeaderTimeout)
		}, "TLS handshake failed"},
		"nothing after the handshake": {func(t *testing.T, conn net.Conn) {
			if err := client(conn).HandshakeContext(t.Context()); err != nil {
				t.Error(err)
			}
		}, ""},
		"nothing after the handshake, HTTP/2": {func(t *testing.T, conn net.Conn) {
			if err := client(conn, "h2").HandshakeContext(t.Context()); err != nil {
				t.Error(err)
			}
		}, ""},
		"half a preface": {func(t *testing.T, conn net.Conn) {
			if _, err := io.WriteString(client(conn, "h2"), http2.ClientPreface[:20]); err != nil {
				t.Error(err)
			}
		}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var log lockedBuffer
				conn, closed := servePipe(t, securedConfig(t, ok, &log))
				test.do(t, conn)
				go func() { _, _ = io.Copy(io.Discard, conn) }()
				if took := <-closed; took != DefaultHeaderTimeout {
					t.Errorf("closed after %v, want %v", took, DefaultHeaderTimeout)
				}
				synctest.Wait()
				if got := log.String(); strings.Count(got, "\n") > 1 || !strings.Contains(got, test.logged) || test.logged == "" && got != "" {
					t.Errorf("logged %q, want %q", got, test.logged)
				}
			})
		})
	}
}

// servePipe serves one connection, of which it returns the client's end, and when
// the server closes its own.
func servePipe(tb testing.TB, config Config) (conn net.Conn, closed <-chan time.Duration) {
	tb.Helper()
	srv, err := New(config)
	if err != nil {
		tb.Fatal(err)
	}
	conn, theirs := net.Pipe()
	began, took := time.Now(), make(chan time.Duration, 1)
	served := make(chan error, 1)
	listener := newSingleListener(timedConn{theirs, sync.OnceFunc(func() { took <- time.Since(began) })})
	go func() { served <- srv.Serve(listener) }()
	tb.Cleanup(func() {
		_ = conn.Close()
		_ = srv.Close()
		if err := <-served; err != nil {
			tb.Error(err)
		}
	})
	return conn, took
}

// timedConn tells when it is first closed.
type timedConn struct {
	net.Conn
	closed func()
}

// Close implements net.Conn.
func (c timedConn) Close() error {
	err := c.Conn.Close()
	c.closed()
	return err
}

// A client that does not take what it is sent does not take the end of it either.
func TestNobodyWaitsForAWordToBeRead(t *testing.T) {
	const stall = 3 * time.Second
	synctest.Test(t, func(t *testing.T) {
		conn, closed := servePipe(t, securedConfig(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(stall))
			_, _ = w.Write(make([]byte, 1<<20))
		}), io.Discard))
		secured := tls.Client(conn, &tls.Config{InsecureSkipVerify: true})
		if _, err := io.WriteString(secured, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		if took := <-closed; took != stall {
			t.Errorf("closed after %v, want %v", took, stall)
		}
	})
}

// TestIdleConnectionsOfTLSAreClosed asks for something, and then for nothing.
func TestIdleConnectionsOfTLSAreClosed(t *testing.T) {
	const idle = time.Minute
	for protocol, begins := range map[string]string{
		"http/1.1": "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
		"h2":       http2.ClientPreface + "\x00\x00\x00\x04\x00\x00\x00\x00\x00",
	} {
		t.Run(protocol, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				config := securedConfig(t, ok, io.Discard)
				config.ConnIdleTimeout, config.PingInterval = idle, -1
				conn, closed := servePipe(t, config)
				secured := tls.Client(conn, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{protocol}})
				if err := secured.HandshakeContext(t.Context()); err != nil {
					t.Fatal(err)
				}
				go func() { _, _ = io.Copy(io.Discard, secured) }()
				if _, err := io.WriteString(secured, begins); err != nil {
					t.Fatal(err)
				}
				// With HTTP/2, a client has a moment to take the GOAWAY.
				if took := <-closed; took < idle || took > idle+5*time.Second {
					t.Errorf("closed after %v, want %v", took, idle)
				}
			})
		})
	}
}

// clientHello is what a client begins with, as a whole.
func clientHello(tb testing.TB) []byte {
	tb.Helper()
	client, server := net.Pipe()
	go func() {
		_ = tls.Client(client, &tls.Config{InsecureSkipVerify: true}).HandshakeContext(context.Background())
	}()
	defer client.Close()
	defer server.Close()
	hello := make([]byte, 16<<10)
	n, err := server.Read(hello)
	if err != nil {
		tb.Fatal(err)
	}
	return hello[:n]
}

// TestWhatIsSpokenWasAgreed has clients agree on one protocol and speak another.
func TestWhatIsSpokenWasAgreed(t *testing.T) {
	const request = "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
	const http1, refused = "HTTP/1.1 200 OK", "HTTP/1.1 400 Bad Request"
	settings := "\x00\x00\x00\x04\x00\x00\x00\x00\x00"
	for _, test := range []struct {
		name    string
		offered []string
		says    string
		want    string // begins the answer; "" means none
		logged  string
	}{
		{"HTTP/1.1", []string{"http/1.1"}, request, http1, ""},
		{"HTTP/1.1, unasked", nil, request, http1, ""},
		{"PUT", nil, "PUT" + request[len("GET"):], http1, ""},
		{"HTTP/1.1 with h2", []string{"h2"}, request, "", "something else is spoken"},
		{"POST with h2", []string{"h2"}, "POST" + request[len("GET"):], "", "something else is spoken"},
		{"PRI alone with h2", []string{"h2"}, "PRI * HTTP/2.0\r\n\r\nGET / HTTP/1.1\r\n\r\n", "", "something else is spoken"},
		{"HTTP/2", []string{"h2"}, http2.ClientPreface + settings, "\x00", ""},
		{"HTTP/2 with http/1.1", []string{"http/1.1"}, http2.ClientPreface + settings, refused, "was not agreed on"},
		{"HTTP/2, unasked", nil, http2.ClientPreface + settings, refused, "was not agreed on"},
		{"PRI alone, unasked", nil, "PRI * HTTP/2.0\r\nHost: localhost\r\n\r\n", refused, "was not agreed on"},
	} {
		for _, size := range []int{1, 1 << 10} {
			t.Run(fmt.Sprintf("%s, %d at once", test.name, size), func(t *testing.T) {
				var log lockedBuffer
				srv, addr := start(t, securedConfig(t, ok, &log), anyPort)
				conn := dialTLS(t, addr, &tls.Config{NextProtos: test.offered})
				for says := []byte(test.says); len(says) > 0; {
					n, err := conn.Write(says[:min(size, len(says))])
					if err != nil { // it was refused before it had said all
						break
					}
					says = says[n:]
				}
				got := make([]byte, 3+len(test.want))
				n, err := io.ReadFull(conn, got[:max(1, len(test.want))])
				if test.want == "" && n > 0 || test.want != "" && (err != nil || !strings.HasPrefix(string(got), test.want)) {
					t.Errorf("answered %q, %v, want %q", got[:n], err, test.want)
				}
				_ = conn.Close()
				if err := srv.Shutdown(testContext(t)); err != nil {
					t.Error(err)
				}
				if got := log.String(); !strings.Contains(got, test.logged) || test.logged == "" && got != "" || strings.Count(got, "\n") > 1 {
					t.Errorf("logged %q, want %q", got, test.logged)
				}
			})
		}
	}
}

// HTTP/2 forbids cipher suites that HTTP/1.1 may have.
func TestCipherSuitesOfHTTP2(t *testing.T) {
	_, addr := start(t, securedConfig(t, ok, io.Discard), anyPort)
	for suite, fit := range map[uint16]bool{
		tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256:       true,
		tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384:       true,
		tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256: true,
		tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA:          false,
	} {
		for _, protocol := range []string{"h2", "http/1.1"} {
			conn := dialTLS(t, addr, &tls.Config{
				MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{suite}, NextProtos: []string{protocol},
			})
			if protocol == "http/1.1" {
				if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"); err != nil {
					t.Fatal(err)
				}
				if answer, err := io.ReadAll(conn); !strings.HasPrefix(string(answer), "HTTP/1.1 200 OK") {
					t.Errorf("%s: %q, %v", tls.CipherSuiteName(suite), answer, err)
				}
				continue
			}
			framer := http2.NewFramer(conn, conn)
			_, err := io.WriteString(conn, http2.ClientPreface)
			if err = errors.Join(err, framer.WriteSettings()); err != nil && fit {
				t.Fatal(err)
			}
			frame, err := framer.ReadFrame()
			refusal, refused := frame.(*http2.GoAwayFrame)
			if err != nil || refused == fit || refused && refusal.ErrCode != http2.ErrCodeInadequateSecurity {
				t.Errorf("%s: %v, %v, fit for HTTP/2 %t", tls.CipherSuiteName(suite), frame, err, fit)
			}
		}
	}
}

// TestFailedHandshakes says why, once, and nothing of clients that only look
// whether somebody listens.
func TestFailedHandshakes(t *testing.T) {
	for name, test := range map[string]struct {
		do     func(t *testing.T, conn *net.TCPConn)
		logged string // "" means nothing
	}{
		"left": {func(*testing.T, *net.TCPConn) {}, ""},
		"left at once": {func(t *testing.T, conn *net.TCPConn) {
			if err := conn.SetLinger(0); err != nil { // so that it is reset
				t.Error(err)
			}
		}, ""},
		"left within the ClientHello": {func(t *testing.T, conn *net.TCPConn) {
			if _, err := conn.Write(clientHello(t)[:100]); err != nil {
				t.Error(err)
			}
		}, "unexpected EOF"},
		"left after it": {func(t *testing.T, conn *net.TCPConn) {
			if _, err := conn.Write(clientHello(t)); err != nil {
				t.Error(err)
			}
			if _, err := conn.Read(make([]byte, 16<<10)); err != nil {
				t.Error(err)
			}
			if err := conn.CloseWrite(); err != nil {
				t.Error(err)
			}
			_, _ = io.Copy(io.Discard, conn)
		}, "EOF"},
		"does not trust it": {func(t *testing.T, conn *net.TCPConn) {
			if err := tls.Client(conn, &tls.Config{ServerName: "localhost"}).HandshakeContext(t.Context()); err == nil {
				t.Error("no error")
			}
		}, "bad certificate"},
		"HTTP without TLS": {func(t *testing.T, conn *net.TCPConn) {
			_, _ = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
			answer, err := io.ReadAll(conn)
			if want := "HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n"; string(answer) != want {
				t.Errorf("answered %q, %v, want %q", answer, err, want)
			}
		}, "HTTP request without TLS"},
		"something else": {func(t *testing.T, conn *net.TCPConn) {
			_, _ = io.WriteString(conn, "SSH-2.0-OpenSSH_9.9\r\n")
			_, _ = io.Copy(io.Discard, conn)
		}, "does not look like a TLS handshake"},
	} {
		t.Run(name, func(t *testing.T) {
			var log lockedBuffer
			srv, addr := start(t, securedConfig(t, ok, &log), anyPort)
			conn, err := new(net.Dialer).DialContext(testContext(t), "tcp", addr)
			if err != nil {
				t.Fatal(err)
			}
			if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
				t.Fatal(err)
			}
			tcp, _ := conn.(*net.TCPConn)
			test.do(t, tcp)
			from := conn.LocalAddr().String()
			_ = conn.Close()
			// Connections are accepted one after the other, and the server waits for them.
			probe := dialTLS(t, addr, &tls.Config{})
			_ = probe.Close()
			for test.logged != "" && log.String() == "" && t.Context().Err() == nil {
				<-time.After(time.Millisecond)
			}
			if err := srv.Shutdown(testContext(t)); err != nil {
				t.Error(err)
			}
			got := log.String()
			if test.logged == "" {
				if got != "" {
					t.Errorf("logged %q, want nothing", got)
				}
				return
			}
			if strings.Count(got, "\n") != 1 || !strings.Contains(got, "level=WARN") ||
				!strings.Contains(got, "peer="+from) || !strings.Contains(got, test.logged) {
				t.Errorf("logged %q, want one line with %q of %s", got, test.logged, from)
			}
		})
	}
}
