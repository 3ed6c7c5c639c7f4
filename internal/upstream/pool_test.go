package upstream

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"
)

// TestReuse counts connections.
func TestReuse(t *testing.T) {
	for _, kind := range targetKinds {
		t.Run(kind, func(t *testing.T) {
			remotes := make(chan string, 100)
			f := startFront2(t, kind, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(w, r.Body)
				remotes <- r.RemoteAddr
			}))
			for i := range 20 {
				var body io.Reader
				switch i % 3 {
				case 1:
					body = strings.NewReader("known")
				case 2:
					body = io.MultiReader(strings.NewReader("unknown"))
				}
				readAll(t, f.do(t, "h1", newRequest(t, "POST", f.url("/"), body)).Body)
			}
			first := <-remotes
			for range 19 {
				if remote := <-remotes; remote != first {
					t.Fatalf("another connection: %s after %s", remote, first)
				}
			}
		})
	}
}

// startForgetful serves one request a connection, and then closes it without a
// word. It answers only requests whose connection is new where picky is set.
func startForgetful(t *testing.T, afterFirst func(net.Conn, *bufio.Reader)) (string, *atomic.Int32) {
	t.Helper()
	conns := new(atomic.Int32)
	address := startRaw(t, func(conn net.Conn) {
		conns.Add(1)
		reader := bufio.NewReader(conn)
		r, err := http.ReadRequest(reader)
		if err != nil {
			return
		}
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
		afterFirst(conn, reader)
	})
	return address, conns
}

// TestStaleConnection has an upstream that closes connections while they are idle.
func TestStaleConnection(t *testing.T) {
	closed := make(chan struct{})
	address, conns := startForgetful(t, func(conn net.Conn, _ *bufio.Reader) {
		conn.Close()
		closed <- struct{}{}
	})
	f := startFront(t, "http://"+address, Options{})
	for range 10 {
		response := f.do(t, "h1", newRequest(t, "POST", f.url("/"), strings.NewReader("x")))
		if got := readAll(t, response.Body); got != "ok" {
			t.Errorf("body %q", got)
		}
		<-closed
	}
	if n := conns.Load(); n != 10 {
		t.Errorf("%d connections", n)
	}
}

// TestConnectionClosedUnderRequest has an upstream that takes a second request and
// closes: it is sent again where that does no harm, and only there.
func TestConnectionClosedUnderRequest(t *testing.T) {
	address, _ := startForgetful(t, func(_ net.Conn, reader *bufio.Reader) {
		_, _ = reader.Peek(1)
	})
	f := startFront(t, "http://"+address, Options{})
	for _, c := range []struct {
		method string
		body   string
		again  bool
	}{{"GET", "", true}, {"DELETE", "", true}, {"POST", "", false}, {"PUT", "x", false}} {
		readAll(t, f.do(t, "h1", newRequest(t, "GET", f.url("/"), nil)).Body)
		waitForIdle(t, f.proxy.h1)
		response, err := f.h2.Do(newRequest(t, c.method, f.url("/"), strings.NewReader(c.body)))
		if (err == nil) != c.again {
			t.Errorf("%s: %v, %v", c.method, response, err)
		}
		if err == nil {
			readAll(t, response.Body)
			response.Body.Close()
			f.proxy.h1.close()
			f.proxy.h1.closed = false
			continue
		}
		if o := f.failed(t); o.cause != failed || o.notStarted {
			t.Errorf("%s: %v (not started: %v)", c.method, o.cause, o.notStarted)
		}
	}
}

// waitForIdle returns when a connection is kept. A client may have the whole
// response before the connection that it came by is put back.
func waitForIdle(t testing.TB, c *h1Client) {
	t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); runtime.Gosched() {
		c.mu.Lock()
		kept := len(c.idle)
		c.mu.Unlock()
		if kept > 0 {
			return
		}
	}
	t.Fatal("no connection was kept")
}

// TestIdleTimeout closes what is not used, and keeps no more than it may.
func TestIdleTimeout(t *testing.T) {
	gone := make(chan struct{}, 10)
	address := startRaw(t, func(conn net.Conn) {
		_, _ = io.Copy(io.Discard, conn)
		gone <- struct{}{}
	})
	proxy, err := New("http://"+address, Options{IdleTimeout: time.Millisecond, MaxIdleConns: 2})
	if err != nil {
		t.Fatal(err)
	}
	defer proxy.Close()
	for range 5 {
		conn, err := proxy.h1.get(testContext(t), true)
		if err != nil {
			t.Fatal(err)
		}
		proxy.h1.put(conn)
	}
	for range 5 {
		<-gone
	}
	if conn := proxy.h1.takeIdle(); conn != nil {
		t.Error("a connection is still kept")
	}
}

// TestWindows looks at what the HTTP/2 client announces, since net/http's
// documentation says that windows this large are not taken.
func TestWindows(t *testing.T) {
	stream, conn := make(chan uint32, 1), make(chan uint32, 1)
	address := startRaw(t, func(c net.Conn) {
		_, _ = io.ReadFull(c, make([]byte, len(http2.ClientPreface)))
		framer := http2.NewFramer(c, c)
		for {
			frame, err := framer.ReadFrame()
			if err != nil {
				return
			}
			switch frame := frame.(type) {
			case *http2.SettingsFrame:
				if value, ok := frame.Value(http2.SettingInitialWindowSize); ok {
					stream <- value
				}
			case *http2.WindowUpdateFrame:
				conn <- frame.Increment
				return
			}
		}
	})
	f := startFront(t, "h2c://"+address, Options{})
	r := newRequest(t, "GET", f.url("/"), nil)
	go func() { _, _ = f.h1.Do(r) }()
	if got := <-stream; got != h2StreamWindow {
		t.Errorf("stream window %d", got)
	}
	if got := <-conn; got < h2ConnWindow {
		t.Errorf("connection window %d", got)
	}
	f.failed(t)
}

// TestProtocolForgotten has an https upstream restarted without HTTP/2. One request
// finds out, and says that it was not started.
func TestProtocolForgotten(t *testing.T) {
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.Proto) })
	target, options := startUpstream(t, "https", handler)
	f := startFront(t, target, options)
	if got := readAll(t, f.do(t, "h1", newRequest(t, "GET", f.url("/"), nil)).Body); got != "HTTP/2.0" {
		t.Errorf("before: %s", got)
	}
	other, otherOptions := startUpstream(t, "https-h1", handler)
	f.proxy.dialer.target.address = strings.TrimPrefix(other, "https://")
	f.proxy.dialer.tls.RootCAs = otherOptions.TLS.RootCAs
	f.proxy.h2.close()
	if response, err := f.h2.Do(newRequest(t, "POST", f.url("/"), strings.NewReader("x"))); err == nil {
		t.Errorf("got %v", response)
	}
	if o := f.failed(t); o.cause != unreachable || !o.notStarted {
		t.Errorf("%v (not started: %v): %v", o.cause, o.notStarted, o.err)
	}
	if got := readAll(t, f.do(t, "h1", newRequest(t, "GET", f.url("/"), nil)).Body); got != "HTTP/1.1" {
		t.Errorf("after: %s", got)
	}
}
