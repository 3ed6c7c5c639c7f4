package culvert_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/coder/websocket"

	"github.com/culvert-http/culvert"
	culvertv1 "github.com/culvert-http/culvert/api/culvert/v1"
)

func newUpgradeRequest(tb testing.TB) *http.Request {
	tb.Helper()
	req := newRigRequest(tb, http.MethodGet, "/", nil)
	req.Header.Set("Connection", "Upgrade")
	req.Header.Set("Upgrade", "websocket")
	return req
}

// switchTo hijacks the connection and hands it to serve.
func switchTo(tb testing.TB, serve func(rw io.ReadWriteCloser)) http.Handler {
	tb.Helper()
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		conn, buffered, err := http.NewResponseController(w).Hijack()
		if err != nil {
			tb.Error(err)
			return
		}
		defer conn.Close()
		fmt.Fprint(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nX-Extra: 1\r\n\r\n")
		serve(struct {
			io.Reader
			io.WriteCloser
		}{buffered, conn})
	})
}

// TestTransportUpgradeBringsFirstBytes has a server write its first bytes together
// with the head that ends HTTP.
func TestTransportUpgradeBringsFirstBytes(t *testing.T) {
	app := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		fmt.Fprint(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nfirst")
	})
	for _, method := range []culvert.Method{culvert.MethodExchange, culvert.MethodSession} {
		t.Run(method.String(), func(t *testing.T) {
			resp := newRig(t, app, culvert.WithMethod(method)).do(t, newUpgradeRequest(t))
			defer resp.Body.Close()
			if got, err := io.ReadAll(resp.Body); err != nil || string(got) != "first" {
				t.Errorf("got %q, %v", got, err)
			}
		})
	}
}

func TestTransportUpgradeKeepsHalfClose(t *testing.T) {
	app := switchTo(t, func(conn io.ReadWriteCloser) {
		all, err := io.ReadAll(conn)
		fmt.Fprintf(conn, "%s %v", all, err)
	})
	for _, protocol := range protocols {
		t.Run(protocol.String(), func(t *testing.T) {
			r := newRig(t, app, culvert.WithProtocol(protocol))
			ctx, cancel := context.WithCancel(t.Context())
			resp := r.do(t, newUpgradeRequest(t).WithContext(ctx))
			cancel() // of no account from here on, as with net/http
			if resp.StatusCode != http.StatusSwitchingProtocols || resp.Header.Get("Upgrade") != "websocket" ||
				resp.Header.Get("Connection") != "Upgrade" || resp.Header.Get("X-Extra") != "1" {
				t.Fatalf("got %d %v", resp.StatusCode, resp.Header)
			}
			conn := resp.Body.(interface {
				io.ReadWriteCloser
				CloseWrite() error
			})
			long := mebibytes(1)
			for _, part := range []string{"hello ", long} {
				if _, err := io.WriteString(conn, part); err != nil {
					t.Fatal(err)
				}
			}
			if err := conn.CloseWrite(); err != nil {
				t.Fatal(err)
			}
			if _, err := conn.Write([]byte("more")); !errors.Is(err, io.ErrClosedPipe) {
				t.Errorf("write after the end: %v", err)
			}
			if got, want := readBody(t, resp), "hello "+long+" <nil>"; got != want {
				t.Errorf("got %d bytes, want %d", len(got), len(want))
			}
		})
	}
}

func TestTransportUpgradeCloseSendsWhatWasWritten(t *testing.T) {
	got := make(chan string, 1)
	app := switchTo(t, func(conn io.ReadWriteCloser) {
		all, err := io.ReadAll(conn)
		got <- fmt.Sprint(string(all), err)
	})
	for _, protocol := range protocols {
		t.Run(protocol.String(), func(t *testing.T) {
			r := newRig(t, app, culvert.WithProtocol(protocol))
			conn := r.do(t, newUpgradeRequest(t)).Body.(io.ReadWriteCloser)
			if _, err := io.WriteString(conn, "last words"); err != nil {
				t.Fatal(err)
			}
			reading := make(chan error, 1)
			go func() {
				_, err := conn.Read(make([]byte, 1))
				reading <- err
			}()
			if err := conn.Close(); err != nil {
				t.Error(err)
			}
			if text := await(t, "the end", got); text != "last words<nil>" {
				t.Errorf("the application got %q", text)
			}
			if err := await(t, "end of the reading", reading); err == nil {
				t.Error("a read went on after Close")
			}
		})
	}
}

func TestTransportUpgradeThatIsRefusedGoesOn(t *testing.T) {
	app := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%q %q %v", r.Header["Upgrade"], body, err)
	})
	for _, protocol := range protocols {
		t.Run(protocol.String(), func(t *testing.T) {
			r := newRig(t, app, culvert.WithProtocol(protocol))
			req := newUpgradeRequest(t)
			req.Header.Set("Upgrade", "h2c")
			if got := readBody(t, r.do(t, req)); got != `[] "" <nil>` {
				t.Errorf("got %s", got)
			}
			if got := readBody(t, r.do(t, newUpgradeRequest(t))); got != `["websocket"] "" <nil>` {
				t.Errorf("got %s", got)
			}
		})
	}
}

func TestTransportUpgradeNeedsExchange(t *testing.T) {
	app := http.NotFoundHandler()
	for _, r := range []*rig{
		newRigSpeaking(t, app, false),
		newRig(t, app, culvert.WithMethod(culvert.MethodDownload)),
	} {
		resp, err := r.transport.RoundTrip(newUpgradeRequest(t))
		if err == nil {
			_ = resp.Body.Close()
		}
		wantCause(t, err, culvertv1.Cause_CAUSE_HTTP2_REQUIRED)
	}
}

func TestTransportCarriesWebSockets(t *testing.T) {
	app := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, err := websocket.Accept(w, r, nil)
		if err != nil {
			t.Error(err)
			return
		}
		for {
			kind, data, err := conn.Read(r.Context())
			if err != nil {
				_ = conn.Close(websocket.StatusCode(4001), "that was it")
				return
			}
			if string(data) == "bye" {
				_ = conn.Close(websocket.StatusCode(4002), "bye")
				return
			}
			if err := conn.Write(r.Context(), kind, data); err != nil {
				t.Error(err)
			}
		}
	})
	for _, protocol := range protocols {
		t.Run(protocol.String(), func(t *testing.T) {
			r := newRig(t, app, culvert.WithProtocol(protocol))
			ctx, cancel := context.WithCancel(t.Context())
			conn, resp, err := websocket.Dial(ctx, strings.Replace(rigURL, "http", "ws", 1), &websocket.DialOptions{HTTPClient: r.client})
			cancel()
			if err != nil {
				t.Fatal(err)
			}
			_ = resp
			const messages = 10_000
			message := func(i int) string { return fmt.Sprint(i, strings.Repeat("x", i%300)) }
			sent := make(chan error, 1)
			go func() { // while the answers come
				var err error
				for i := 0; i < messages && err == nil; i++ {
					err = conn.Write(t.Context(), websocket.MessageText, []byte(message(i)))
				}
				sent <- errors.Join(err, conn.Write(t.Context(), websocket.MessageText, []byte("bye")))
			}()
			for i := range messages {
				if _, got, err := conn.Read(t.Context()); err != nil || string(got) != message(i) {
					t.Fatalf("message %d: %q, %v", i, got, err)
				}
			}
			if err := <-sent; err != nil {
				t.Fatal(err)
			}
			_, _, err = conn.Read(t.Context())
			if code := websocket.CloseStatus(err); code != 4002 {
				t.Errorf("closed with %d, %v", code, err)
			}
		})
	}
}
