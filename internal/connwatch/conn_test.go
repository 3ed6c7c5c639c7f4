package connwatch

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = time.Minute

// TestInDoubt asks net/http's server about each request.
func TestInDoubt(t *testing.T) {
	const chunks = "Transfer-Encoding: chunked\r\n"
	for name, test := range map[string]struct {
		request         string
		watched, others bool // by a Listener; not, as where net/http does TLS
	}{
		"no body":        {"GET / HTTP/1.1\r\n", false, false},
		"length":         {"POST / HTTP/1.1\r\nContent-Length: 0\r\n", false, false},
		"chunks":         {"POST / HTTP/1.1\r\n" + chunks, false, true},
		"both":           {"POST / HTTP/1.1\r\nContent-Length: 5\r\n" + chunks, true, true},
		"both, folded":   {"POST / HTTP/1.1\r\n" + chunks + "X: y\r\n Content-Length: 5\r\n", true, true},
		"1.0":            {"GET / HTTP/1.0\r\n", true, true},
		"1.0 and chunks": {"POST / HTTP/1.0\r\n" + chunks, true, true},
	} {
		t.Run(name, func(t *testing.T) {
			request := test.request + "Host: example.com\r\nConnection: close\r\n\r\n0\r\n\r\n"
			if got := ask(t, request, true, false); got != test.watched {
				t.Errorf("got %t, want %t", got, test.watched)
			}
			if got := ask(t, request, false, false); got != test.others {
				t.Errorf("without a Listener: got %t, want %t", got, test.others)
			}
			if got := ask(t, request, true, true); got != test.others {
				t.Errorf("below TLS: got %t, want %t", got, test.others)
			}
		})
	}
}

// ask sends a request to a server and returns what InDoubt says of it.
func ask(t *testing.T, request string, watched, secured bool) bool {
	t.Helper()
	asked := make(chan bool, 1)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		asked <- InDoubt(r)
	}))
	defer server.Close()
	server.Config.ConnContext = ConnContext
	if watched {
		server.Listener = Listener{Listener: server.Listener}
	}
	if secured {
		server.StartTLS()
	} else {
		server.Start()
	}
	conn := dial(t, server, secured)
	defer conn.Close()
	fmt.Fprint(conn, request)
	if answer, err := io.ReadAll(conn); len(answer) == 0 {
		t.Fatalf("no answer: %v", err)
	}
	return <-asked
}

func dial(t *testing.T, server *httptest.Server, secured bool) net.Conn {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if secured {
		roots := server.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
		return tls.Client(conn, &tls.Config{RootCAs: roots, ServerName: "example.com"})
	}
	return conn
}

// TestListener has a connection that cannot be half-closed stay what it is, and
// others give their own away.
func TestListener(t *testing.T) {
	ours, theirs := net.Pipe()
	defer theirs.Close()
	accepted, err := Listener{Listener: oneConn{conn: ours}}.Accept()
	if accepted != ours || err != nil {
		t.Errorf("got %v, %v, want the connection itself", accepted, err)
	}
	_ = ours.Close()
	tcp := new(net.TCPConn)
	accepted, err = Listener{Listener: oneConn{conn: tcp}}.Accept()
	if watched, ok := accepted.(*conn); !ok || watched.NetConn() != tcp || err != nil {
		t.Errorf("got %v, %v", accepted, err)
	}
}

type oneConn struct {
	net.Listener
	conn net.Conn
}

func (l oneConn) Accept() (net.Conn, error) { return l.conn, nil }
