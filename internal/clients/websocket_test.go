package clients

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"

	coder "github.com/coder/websocket"
	gorilla "github.com/gorilla/websocket"

	"github.com/culvert-http/culvert/internal/oracle"
)

// TestWebSocket runs WebSocket libraries at both ends of the tunnel: handshake,
// messages both ways, and the closing handshake.
func TestWebSocket(t *testing.T) {
	t.Parallel()
	servers := map[string]func(testing.TB, chan<- error) http.Handler{
		"gorilla": func(_ testing.TB, ended chan<- error) http.Handler { return gorillaEcho(ended) },
		"coder":   func(_ testing.TB, ended chan<- error) http.Handler { return coderEcho(ended) },
		"gorilla behind a proxy": func(tb testing.TB, ended chan<- error) http.Handler {
			tb.Helper()
			return proxyTo(tb, oracle.Serve(tb, gorillaEcho(ended)))
		},
		"coder behind a proxy": func(tb testing.TB, ended chan<- error) http.Handler {
			tb.Helper()
			return proxyTo(tb, oracle.Serve(tb, coderEcho(ended)))
		},
	}
	dials := map[string]func(testing.TB, oracle.Service) socket{"gorilla": dialGorilla, "coder": dialCoder}
	for serverName, newServer := range servers {
		t.Run("to "+serverName, func(t *testing.T) {
			t.Parallel()
			ended := make(chan error, 1)
			eachService(t, serve(t, newServer(t, ended)), func(t *testing.T, service oracle.Service) {
				t.Helper()
				for clientName, dial := range dials {
					t.Run("from "+clientName, func(t *testing.T) { converse(t, dial(t, service), ended) })
				}
			})
		})
	}
}

// socket is a client's end of a WebSocket.
type socket struct {
	send    func(text bool, message []byte) error
	receive func() (text bool, message []byte, err error)
	// close makes the closing handshake, abandon does not.
	close, abandon func() error
}

// converse sends messages of all sizes, compares what comes back, and closes.
func converse(t *testing.T, s socket, ended <-chan error) {
	t.Helper()
	for i, message := range []string{"hello", "", strings.Repeat("large ", 100_000), "\x00\xff", "bye"} {
		text := i%2 == 0
		if err := s.send(text, []byte(message)); err != nil {
			t.Fatalf("send message %d: %v", i, err)
		}
		gotText, got, err := s.receive()
		if err != nil || gotText != text || !bytes.Equal(got, []byte(message)) {
			t.Fatalf("message %d: %d of %d bytes, text %v, %v", i, len(got), len(message), gotText, err)
		}
	}
	if err := s.close(); err != nil {
		t.Errorf("close: %v", err)
	}
	select {
	case err := <-ended:
		if err != nil {
			t.Errorf("the server's end: %v", err)
		}
	case <-testContext(t).Done():
		t.Error("the server's end is still open")
	}
}

// gorillaEcho answers every message with itself. It tells ended how the
// connection was closed, nil for 1000.
func gorillaEcho(ended chan<- error) http.Handler {
	var upgrader gorilla.Upgrader
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, err := upgrader.Upgrade(w, r, http.Header{"X-Server": {"gorilla"}})
		if err != nil {
			ended <- err
			return
		}
		defer func() { _ = conn.Close() }()
		for {
			kind, message, err := conn.ReadMessage()
			if err == nil {
				err = conn.WriteMessage(kind, message)
			}
			if err != nil {
				ended <- unlessNormal(err)
				return
			}
		}
	})
}

func unlessNormal(err error) error {
	if gorilla.IsCloseError(err, gorilla.CloseNormalClosure) || coder.CloseStatus(err) == coder.StatusNormalClosure {
		return nil
	}
	return err
}

// coderEcho is gorillaEcho with the other library.
func coderEcho(ended chan<- error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Server", "coder")
		conn, err := coder.Accept(w, r, nil)
		if err != nil {
			ended <- err
			return
		}
		defer func() { _ = conn.CloseNow() }()
		conn.SetReadLimit(-1)
		for {
			kind, message, err := conn.Read(r.Context())
			if err == nil {
				err = conn.Write(r.Context(), kind, message)
			}
			if err != nil {
				ended <- unlessNormal(err)
				return
			}
		}
	})
}

func proxyTo(tb testing.TB, addr string) http.Handler {
	tb.Helper()
	transport := &http.Transport{}
	tb.Cleanup(transport.CloseIdleConnections)
	return &httputil.ReverseProxy{Transport: transport, Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(&url.URL{Scheme: "http", Host: addr})
	}}
}

func dialGorilla(tb testing.TB, service oracle.Service) socket {
	tb.Helper()
	dialer := gorilla.Dialer{NetDialContext: dialer(tb, service)}
	conn, response, err := dialer.DialContext(testContext(tb), "ws://app.test/chat?room=1", nil)
	if err != nil {
		tb.Fatalf("dial: %v", err)
	}
	tb.Cleanup(func() { _ = conn.Close() })
	if response.StatusCode != http.StatusSwitchingProtocols || response.Header.Get("X-Server") == "" {
		tb.Errorf("handshake: %v", response)
	}
	return socket{
		send: func(text bool, message []byte) error {
			if text {
				return conn.WriteMessage(gorilla.TextMessage, message)
			}
			return conn.WriteMessage(gorilla.BinaryMessage, message)
		},
		receive: func() (bool, []byte, error) {
			kind, message, err := conn.ReadMessage()
			return kind == gorilla.TextMessage, message, err
		},
		close: func() error {
			goodbye := gorilla.FormatCloseMessage(gorilla.CloseNormalClosure, "done")
			if err := conn.WriteMessage(gorilla.CloseMessage, goodbye); err != nil {
				return err
			}
			_, _, err := conn.ReadMessage()
			return unlessNormal(err)
		},
		abandon: conn.Close,
	}
}

func dialCoder(tb testing.TB, service oracle.Service) socket {
	tb.Helper()
	ctx := testContext(tb)
	transport := &http.Transport{DialContext: dialer(tb, service)}
	tb.Cleanup(transport.CloseIdleConnections)
	conn, response, err := coder.Dial(ctx, "ws://app.test/chat?room=1", &coder.DialOptions{HTTPClient: &http.Client{Transport: transport}})
	if err != nil {
		tb.Fatalf("dial: %v", err)
	}
	tb.Cleanup(func() { _ = conn.CloseNow() })
	conn.SetReadLimit(-1)
	if response.StatusCode != http.StatusSwitchingProtocols || response.Header.Get("X-Server") == "" {
		tb.Errorf("handshake: %v", response)
	}
	return socket{
		send: func(text bool, message []byte) error {
			if text {
				return conn.Write(ctx, coder.MessageText, message)
			}
			return conn.Write(ctx, coder.MessageBinary, message)
		},
		receive: func() (bool, []byte, error) {
			kind, message, err := conn.Read(ctx)
			return kind == coder.MessageText, message, err
		},
		close:   func() error { return conn.Close(coder.StatusNormalClosure, "done") },
		abandon: conn.CloseNow,
	}
}

// TestHalfClose ends the client's direction of an upgraded exchange, and then
// reads what the server has to say to that.
func TestHalfClose(t *testing.T) {
	addr := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		conn, buffered, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Errorf("hijack: %v", err)
			return
		}
		defer func() { _ = conn.Close() }()
		_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
		all, err := io.ReadAll(buffered)
		fmt.Fprintf(conn, "%q %v", all, err)
	}))
	eachService(t, addr, func(t *testing.T, service oracle.Service) {
		t.Helper()
		conn := upgraded(t, service)
		if _, err := io.WriteString(conn, "some bytes"); err != nil {
			t.Fatalf("write: %v", err)
		}
		if err := conn.CloseWrite(); err != nil {
			t.Fatalf("half-close: %v", err)
		}
		got, err := io.ReadAll(conn)
		if want := `"some bytes" <nil>`; err != nil || string(got) != want {
			t.Errorf("read %q, %v, want %q", got, err, want)
		}
	})
}

// TestServerHalfCloses has the server end its direction first, and the client go
// on.
func TestServerHalfCloses(t *testing.T) {
	read := make(chan string, 1)
	addr := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Errorf("hijack: %v", err)
			return
		}
		defer func() { _ = conn.Close() }()
		_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nlast words")
		if err := conn.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
			t.Errorf("half-close: %v", err)
		}
		all, err := io.ReadAll(conn)
		read <- fmt.Sprintf("%q %v", all, err)
	}))
	eachService(t, addr, func(t *testing.T, service oracle.Service) {
		t.Helper()
		conn := upgraded(t, service)
		if got, err := io.ReadAll(conn); err != nil || string(got) != "last words" {
			t.Fatalf("read %q, %v", got, err)
		}
		if _, err := io.WriteString(conn, "and mine"); err != nil {
			t.Fatalf("write: %v", err)
		}
		if err := conn.CloseWrite(); err != nil {
			t.Fatalf("half-close: %v", err)
		}
		if got, want := <-read, `"and mine" <nil>`; got != want {
			t.Errorf("the server read %s, want %s", got, want)
		}
	})
}

// TestLostWebSocket cancels an upgraded exchange: the server's end must not
// believe that it was closed.
func TestLostWebSocket(t *testing.T) {
	ended := make(chan error, 1)
	eachService(t, serve(t, gorillaEcho(ended)), func(t *testing.T, service oracle.Service) {
		t.Helper()
		s := dialGorilla(t, service)
		if err := s.send(true, []byte("x")); err != nil {
			t.Fatalf("send: %v", err)
		}
		if _, _, err := s.receive(); err != nil {
			t.Fatalf("receive: %v", err)
		}
		_ = s.abandon()
		if err := <-ended; err == nil || errors.Is(err, io.EOF) {
			t.Errorf("the server's end: %v", err)
		}
	})
}

// upgraded returns a connection after its handshake.
func upgraded(tb testing.TB, service oracle.Service) *streamConn {
	tb.Helper()
	conn, err := dialer(tb, service)(context.Background(), "", "")
	if err != nil {
		tb.Fatalf("dial: %v", err)
	}
	tb.Cleanup(func() { _ = conn.Close() })
	stream := conn.(*streamConn)
	if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: app.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"); err != nil {
		tb.Fatalf("write the request: %v", err)
	}
	want := "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
	got := make([]byte, len(want))
	if _, err := io.ReadFull(conn, got); err != nil || string(got) != want {
		tb.Fatalf("handshake: %q, %v", got, err)
	}
	return stream
}

var _ net.Conn = (*streamConn)(nil)
