package upstream

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/culvert-http/culvert/internal/testcert"
)

const (
	asked   = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nasked"
	unasked = "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nunasked"
)

// A response that nobody has asked for is not that to the next request: whether
// it comes while the connection is idle, or has come with the one before, in a
// record of TLS that nobody has looked into.
func TestResponseThatNobodyAskedFor(t *testing.T) {
	server, trust := upstreamTLS(t)
	for _, test := range []struct {
		name          string
		secured, late bool
		kept          int // bytes at the end, until the next request
	}{
		{name: "while idle", late: true},
		{name: "while idle, over TLS", secured: true, late: true},
		{name: "in a record behind it", secured: true},
		{name: "in a part of a record behind it", secured: true, kept: 5},
		{name: "in a part of a record's header behind it", secured: true, kept: len(unasked) + 1 + 16 + 2},
	} {
		t.Run(test.name, func(t *testing.T) {
			var conns atomic.Int32
			idle, written := make(chan struct{}), make(chan struct{})
			address := startRaw(t, func(raw net.Conn) {
				conns.Add(1)
				held := &heldConn{Conn: raw}
				conn := net.Conn(held)
				if test.secured {
					conn = tls.Server(held, server)
				}
				r, err := http.ReadRequest(bufio.NewReader(conn))
				if err != nil {
					return
				}
				_, _ = io.Copy(io.Discard, r.Body)
				held.holds = true
				_, _ = io.WriteString(conn, asked)
				if test.late {
					held.flush(0)
					<-idle
				}
				_, _ = io.WriteString(conn, unasked)
				held.flush(test.kept)
				if test.late {
					written <- struct{}{}
				}
				_, _ = raw.Read(make([]byte, 1)) // the next request, if it comes here
				held.flush(0)
			})
			target := "http://" + address
			if test.secured {
				target = "https://" + address
			}
			f := startFront(t, target, Options{TLS: trust})
			for range 5 {
				if got := readAll(t, f.do(t, "h1", newRequest(t, "GET", f.url("/"), nil)).Body); got != "asked" {
					t.Fatalf("body %q", got)
				}
				if test.late {
					waitForIdle(t, f.proxy.h1)
					idle <- struct{}{}
					<-written
				}
			}
			if n := conns.Load(); n < 5 { // one more tells which protocol the upstream speaks
				t.Errorf("%d connections, want one for each request", n)
			}
		})
	}
}

// heldConn holds what is written back, so that it goes out in one piece.
type heldConn struct {
	net.Conn
	holds bool
	held  bytes.Buffer
}

func (c *heldConn) Write(p []byte) (int, error) {
	if c.holds {
		return c.held.Write(p)
	}
	return c.Conn.Write(p)
}

// flush writes all but some bytes at the end.
func (c *heldConn) flush(kept int) { _, _ = c.Conn.Write(c.held.Next(c.held.Len() - kept)) }

// upstreamTLS returns what an upstream of HTTP/1.1 has, and what trusts it.
func upstreamTLS(t *testing.T) (server, trust *tls.Config) {
	t.Helper()
	cert, key, err := testcert.New("upstream", time.Now().AddDate(1, 0, 0))
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(cert)
	return &tls.Config{Certificates: []tls.Certificate{pair}, NextProtos: []string{"http/1.1"}}, &tls.Config{RootCAs: roots}
}
