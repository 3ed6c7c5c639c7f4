package culvert_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/culvert-http/culvert"
)

// upgradeTo answers a request with an upgrade to another protocol.
func upgradeTo(tb testing.TB, serve func(*bufio.ReadWriter, halfCloser)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		conn, buffered, err := http.NewResponseController(w).Hijack()
		if err != nil {
			tb.Error(err)
			return
		}
		defer conn.Close()
		fmt.Fprintf(buffered, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: %s\r\nX-Own: yes\r\n\r\n",
			r.Header.Get("Upgrade"))
		buffered.Flush()
		serve(buffered, conn.(halfCloser))
	}
}

type halfCloser interface {
	io.Closer
	CloseWrite() error
}

const upgradeRequest = "GET / HTTP/1.1\r\nHost: example.com\r\nConnection: keep-alive, Upgrade\r\nUpgrade: echo\r\n\r\n"

// TestGatewayHalfClose ends one direction, and uses the other.
func TestGatewayHalfClose(t *testing.T) {
	for _, back := range []httpVersion{http1, tunnelled} {
		t.Run("to "+back.String(), func(t *testing.T) {
			t.Run("by the client", func(t *testing.T) {
				addr := startGateway(t, upgradeTo(t, func(rw *bufio.ReadWriter, _ halfCloser) {
					all, err := io.ReadAll(rw)
					fmt.Fprintf(rw, "%q %v", all, err)
					rw.Flush()
				}), back)
				conn := dial(t, addr)
				// What follows the head at once is in net/http's buffer when it is taken over.
				fmt.Fprint(conn, upgradeRequest+"early ")
				reader := bufio.NewReader(conn)
				head := readHead(t, reader)
				want := "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\nX-Own: yes\r\n\r\n"
				if head != want {
					t.Errorf("head %q, want %q", head, want)
				}
				fmt.Fprint(conn, "late")
				_ = conn.(halfCloser).CloseWrite()
				if all, err := io.ReadAll(reader); string(all) != `"early late" <nil>` || err != nil {
					t.Errorf("got %q, %v", all, err)
				}
			})
			t.Run("by the server", func(t *testing.T) {
				received := make(chan string, 1)
				addr := startGateway(t, upgradeTo(t, func(rw *bufio.ReadWriter, conn halfCloser) {
					fmt.Fprint(rw, "bye")
					rw.Flush()
					_ = conn.CloseWrite()
					all, err := io.ReadAll(rw)
					received <- fmt.Sprintf("%q %v", all, err)
				}), back)
				conn := dial(t, addr)
				fmt.Fprint(conn, upgradeRequest)
				reader := bufio.NewReader(conn)
				readHead(t, reader)
				if all, err := io.ReadAll(reader); string(all) != "bye" || err != nil {
					t.Errorf("got %q, %v", all, err)
				}
				fmt.Fprint(conn, "and you")
				conn.Close()
				if got := <-received; got != `"and you" <nil>` {
					t.Errorf("the server got %s", got)
				}
			})
		})
	}
}

// TestGatewayUpgradeCut has the server's side fail, which shall not look like its
// end.
func TestGatewayUpgradeCut(t *testing.T) {
	addr := startServer(t, newGateway(func(r *http.Request) (*http.Response, error) {
		resp := textResponse("")
		resp.StatusCode = http.StatusSwitchingProtocols
		resp.Header.Set("Upgrade", r.Header.Get("Upgrade"))
		resp.Body = brokenDuplex{}
		return resp, nil
	}))
	conn := dial(t, addr)
	fmt.Fprint(conn, upgradeRequest)
	if all, err := io.ReadAll(conn); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("got %q, %v, want a reset", all, err)
	}
}

// TestGatewayUpgradeReset has a client fail, which shall not look like its end.
func TestGatewayUpgradeReset(t *testing.T) {
	result := make(chan error, 1)
	addr := startGateway(t, upgradeTo(t, func(rw *bufio.ReadWriter, _ halfCloser) {
		_, err := io.Copy(io.Discard, rw)
		result <- err
	}), tunnelled)
	conn := dial(t, addr)
	fmt.Fprint(conn, upgradeRequest)
	readHead(t, bufio.NewReader(conn))
	_ = conn.(*net.TCPConn).SetLinger(0)
	conn.Close()
	select {
	case err := <-result:
		if err == nil {
			t.Error("the server saw a clean end")
		}
	case <-time.After(patience):
		t.Error("the server saw nothing")
	}
}

// brokenDuplex is the end of a tunnel that broke.
type brokenDuplex struct{}

func (brokenDuplex) Read([]byte) (int, error)    { return 0, io.ErrUnexpectedEOF }
func (brokenDuplex) Write(p []byte) (int, error) { return len(p), nil }
func (brokenDuplex) Close() error                { return nil }

// TestGatewayUpgradeNotAsked has upgrades that must not happen.
func TestGatewayUpgradeNotAsked(t *testing.T) {
	addr := startServer(t, newGateway(func(r *http.Request) (*http.Response, error) {
		if r.Header.Get("Upgrade") == "" && r.URL.Path == "/ask" {
			if len(r.Header["Connection"])+len(r.Header["Http2-Settings"]) > 0 {
				t.Errorf("fields of the connection got through: %v", r.Header)
			}
			return textResponse("no upgrade"), nil
		}
		resp := textResponse("")
		resp.StatusCode = http.StatusSwitchingProtocols
		resp.Header.Set("Upgrade", "other")
		resp.Body = brokenDuplex{}
		return resp, nil
	}))
	for name, test := range map[string]struct {
		request string
		status  int
	}{
		"no request for it":   {"GET /force HTTP/1.1\r\nHost: x\r\n\r\n", 502},
		"another protocol":    {strings.Replace(upgradeRequest, " / ", " /force ", 1), 502},
		"h2c":                 {"GET /ask HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n", 200},
		"HTTP/1.0":            {"GET /ask HTTP/1.0\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n", 200},
		"without Connection":  {"GET /ask HTTP/1.1\r\nHost: x\r\nUpgrade: echo\r\n\r\n", 200},
		"a request with body": {"POST /ask HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: echo\r\nContent-Length: 2\r\n\r\nhi", 200},
		"a body in chunks":    {"POST /ask HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: echo\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n", 200},
	} {
		t.Run(name, func(t *testing.T) {
			if resp, body := rawRequest(t, addr, test.request); resp.StatusCode != test.status {
				t.Errorf("got %d %q, want %d", resp.StatusCode, body, test.status)
			}
		})
	}
}

func TestGatewayWebSocket(t *testing.T) {
	for _, back := range []httpVersion{http1, tunnelled} {
		t.Run("to "+back.String(), func(t *testing.T) {
			const messages = 10_000
			addr := startGateway(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{"test"}})
				if err != nil {
					t.Error(err)
					return
				}
				for {
					kind, data, err := conn.Read(r.Context())
					if err != nil {
						conn.Close(4321, "seen "+fmt.Sprint(websocket.CloseStatus(err)))
						return
					}
					if string(data) == "end" {
						conn.Close(4242, "as you wish")
						return
					}
					if err := conn.Write(r.Context(), kind, data); err != nil {
						t.Error(err)
						return
					}
				}
			}), back)
			conn, _, err := websocket.Dial(t.Context(), "ws://"+addr+"/", &websocket.DialOptions{
				HTTPClient:   &http.Client{Transport: newRoundTripper(t, addr, http1)},
				Subprotocols: []string{"test"},
			})
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = conn.CloseNow() }()
			if got := conn.Subprotocol(); got != "test" {
				t.Errorf("subprotocol %q", got)
			}
			sent := make(chan error, 1)
			go func() {
				for i := range messages {
					if err := conn.Write(t.Context(), websocket.MessageText, fmt.Append(nil, i)); err != nil {
						sent <- err
						return
					}
				}
				sent <- conn.Write(t.Context(), websocket.MessageText, []byte("end"))
			}()
			for i := range messages {
				if _, data, err := conn.Read(t.Context()); err != nil || string(data) != fmt.Sprint(i) {
					t.Fatalf("message %d: %q, %v", i, data, err)
				}
			}
			_, _, err = conn.Read(t.Context())
			if closed := (websocket.CloseError{}); !errors.As(err, &closed) || closed.Code != 4242 || closed.Reason != "as you wish" {
				t.Errorf("closed with %v", err)
			}
			if err := <-sent; err != nil {
				t.Error(err)
			}
		})
	}
}

// TestGatewayCountsUpgrades has Shutdown wait for an upgraded connection, and the
// observer see what it carried.
func TestGatewayCountsUpgrades(t *testing.T) {
	records := make(chan culvert.Record, 1)
	upstream := startServer(t, upgradeTo(t, func(rw *bufio.ReadWriter, _ halfCloser) { _, _ = io.Copy(rw, rw); rw.Flush() }))
	gateway := culvert.NewGateway(newRoundTripper(t, upstream, http1),
		culvert.WithGatewayObserver(func(_ context.Context, r culvert.Record) { records <- r }))
	conn := dial(t, startServer(t, gateway))
	fmt.Fprint(conn, upgradeRequest)
	reader := bufio.NewReader(conn)
	readHead(t, reader)
	done, cancel := context.WithCancel(t.Context())
	cancel()
	if err := gateway.Shutdown(done); !errors.Is(err, context.Canceled) {
		t.Errorf("Shutdown with an open upgrade: %v", err)
	}
	fmt.Fprint(conn, "hello")
	_ = conn.(halfCloser).CloseWrite()
	if all, err := io.ReadAll(reader); string(all) != "hello" || err != nil {
		t.Errorf("got %q, %v", all, err)
	}
	if err := gateway.Shutdown(t.Context()); err != nil {
		t.Errorf("Shutdown: %v", err)
	}
	record := <-records
	if record.Status != 101 || record.RequestBytes != 5 || record.ResponseBytes != 5 || record.Err != nil {
		t.Errorf("record %+v", record)
	}
}
