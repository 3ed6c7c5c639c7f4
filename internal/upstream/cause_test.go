package upstream

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	culvertv1 "github.com/culvert-http/culvert/api/culvert/v1"
)

const (
	unreachable = culvertv1.Cause_CAUSE_UPSTREAM_UNREACHABLE
	failed      = culvertv1.Cause_CAUSE_UPSTREAM_FAILED
	tooLarge    = culvertv1.Cause_CAUSE_RESPONSE_TOO_LARGE
	late        = culvertv1.Cause_CAUSE_DEADLINE_EXCEEDED
)

// TestLies has upstreams that break HTTP/1.1 before the head of a final response
// is complete, or after it.
func TestLies(t *testing.T) {
	say := func(text string) func(net.Conn) {
		return func(conn net.Conn) { _, _ = io.WriteString(conn, text) }
	}
	endless := func(head, line string) func(net.Conn) {
		return func(conn net.Conn) {
			if _, err := io.WriteString(conn, head); err != nil {
				return
			}
			block := strings.Repeat(line, 1000)
			for {
				if _, err := io.WriteString(conn, block); err != nil {
					return
				}
			}
		}
	}
	for _, c := range []struct {
		name   string
		answer func(net.Conn)
		cause  culvertv1.Cause
		cut    bool // after the head
	}{
		{"closes", func(net.Conn) {}, failed, false},
		{"resets", func(conn net.Conn) { _ = conn.(*net.TCPConn).SetLinger(0) }, failed, false},
		{"garbage", say("\x00\x01\x02\r\n\r\n"), failed, false},
		{"wrong version", say("ICY 200 OK\r\n\r\n"), failed, false},
		{"half a status line", say("HTTP/1.1 20"), failed, false},
		{"half a head", say("HTTP/1.1 200 OK\r\nA: b\r\n"), failed, false},
		{"status of two digits", say("HTTP/1.1 20 OK\r\n\r\n"), failed, false},
		{"status 099", say("HTTP/1.1 099 No\r\n\r\n"), failed, false},
		{"101 unasked", say("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n"), failed, false},
		{"two lengths", say("HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd"), failed, false},
		{"negative length", say("HTTP/1.1 200 OK\r\nContent-Length: -3\r\n\r\n"), failed, false},
		{"unknown coding", say("HTTP/1.1 200 OK\r\nTransfer-Encoding: magic\r\n\r\n"), failed, false},
		{"name with a space", say("HTTP/1.1 200 OK\r\nA b: c\r\n\r\n"), failed, false},
		{"value with a control", say("HTTP/1.1 200 OK\r\nA: b\x01\r\n\r\n"), failed, false},
		{"control in an interim response", say("HTTP/1.1 103 Hints\r\nA: b\x01\r\n\r\n"), failed, false},
		{"endless status line", endless("HTTP/1.1 200 ", "OK"), tooLarge, false},
		{"endless head", endless("HTTP/1.1 200 OK\r\n", "A: b\r\n"), tooLarge, false},
		{"endless interim responses", endless("", "HTTP/1.1 103 Hints\r\nLink: x\r\n\r\n"), tooLarge, false},
		{"short body", say("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc"), failed, true},
		{"cut in a chunk", say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc"), failed, true},
		{"cut between chunks", say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"), failed, true},
		{"cut before the trailer", say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n"), failed, true},
		{"chunk size of letters", say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n"), failed, true},
		{"endless trailer", endless("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", "A: b\r\n"), failed, true},
		{"reset in the body", func(conn net.Conn) {
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\n\r\nabc")
			_ = conn.(*net.TCPConn).SetLinger(0)
		}, failed, true},
	} {
		for _, version := range []string{"h1", "h2"} {
			t.Run(c.name+"/"+version, func(t *testing.T) {
				address := startRaw(t, func(conn net.Conn) {
					if _, err := http.ReadRequest(bufio.NewReader(conn)); err == nil {
						c.answer(conn)
					}
				})
				f := startFront(t, "http://"+address, Options{})
				response, err := f.client(version).Do(newRequest(t, "GET", f.url("/"), nil))
				if err == nil {
					_, err = io.ReadAll(response.Body)
					response.Body.Close()
				}
				if err == nil {
					t.Error("the client saw a complete response")
				}
				o := f.failed(t)
				if o.cause != c.cause || o.notStarted {
					t.Errorf("%v (not started: %v): %v", o.cause, o.notStarted, o.err)
				}
				if response != nil && !c.cut {
					t.Errorf("the client saw a head: %v", response)
				}
			})
		}
	}
}

// TestSwitchingInHTTP2 has an upstream switch protocols where there is no such
// thing. That it does not go on to a final response must not matter.
func TestSwitchingInHTTP2(t *testing.T) {
	target, options := startUpstream(t, "h2c", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusSwitchingProtocols)
		<-r.Context().Done()
	}))
	for _, version := range []string{"h1", "h2"} {
		f := startFront(t, target, options)
		if response, err := f.client(version).Do(newRequest(t, "GET", f.url("/"), nil)); err == nil {
			response.Body.Close()
			t.Errorf("%s: the client saw a response: %v", version, response)
		}
		if o := f.failed(t); o.cause != failed || o.notStarted || !strings.Contains(o.err.Error(), errSwitching.Error()) {
			t.Errorf("%s: %v (not started: %v): %v", version, o.cause, o.notStarted, o.err)
		}
	}
}

// TestLongBody keeps what is too much from the client, and from the next exchange.
func TestLongBody(t *testing.T) {
	address := startRaw(t, func(conn net.Conn) {
		requests := bufio.NewReader(conn)
		for {
			if _, err := http.ReadRequest(requests); err != nil {
				return
			}
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcHTTP/1.1 500 Wrong\r\nContent-Length: 0\r\n\r\n")
		}
	})
	f := startFront(t, "http://"+address, Options{})
	for range 3 {
		response := f.do(t, "h1", newRequest(t, "GET", f.url("/"), nil))
		if got := readAll(t, response.Body); got != "abc" || response.StatusCode != http.StatusOK {
			t.Errorf("status %d, body %q", response.StatusCode, got)
		}
	}
}

func TestUnreachable(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := listener.Addr().String()
	listener.Close()
	socket := filepath.Join(t.TempDir(), "none")
	plain := startRaw(t, func(conn net.Conn) { _, _ = io.WriteString(conn, "this is not TLS\n") })
	silent := startRaw(t, func(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) })
	for _, target := range []string{
		"http://" + closed, "h2c://" + closed, "https://" + closed,
		"unix:" + socket, "unix+h2c:" + socket, "https://" + plain, "https://" + silent,
	} {
		t.Run(target, func(t *testing.T) {
			f := startFront(t, target, Options{DialTimeout: 200 * time.Millisecond, TLS: &tls.Config{}})
			for _, version := range []string{"h1", "h2"} {
				if _, err := f.client(version).Do(newRequest(t, "POST", f.url("/"), strings.NewReader("x"))); err == nil {
					t.Error("got a response")
				}
				if o := f.failed(t); o.cause != unreachable || !o.notStarted {
					t.Errorf("%v (not started: %v): %v", o.cause, o.notStarted, o.err)
				}
			}
			if err := f.proxy.Ready(testContext(t)); err == nil {
				t.Error("ready")
			}
		})
	}
}

func TestReady(t *testing.T) {
	for _, kind := range targetKinds {
		f := startFront2(t, kind, http.NotFoundHandler())
		if err := f.proxy.Ready(testContext(t)); err != nil {
			t.Errorf("%s: %v", kind, err)
		}
	}
}

// TestResponseHeaderTimeout counts from the end of the request, and not while it
// is still on its way.
func TestResponseHeaderTimeout(t *testing.T) {
	for _, kind := range []string{"http", "h2c"} {
		for _, version := range []string{"h1", "h2"} {
			t.Run(kind+"/"+version, func(t *testing.T) {
				f := startFront2(t, kind, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					_, _ = io.Copy(io.Discard, r.Body)
					<-r.Context().Done()
				}))
				f.proxy.options.ResponseHeaderTimeout = 50 * time.Millisecond
				for _, body := range []io.Reader{nil, strings.NewReader("x"), io.MultiReader(strings.NewReader("x"))} {
					if _, err := f.client(version).Do(newRequest(t, "POST", f.url("/"), body)); err == nil {
						t.Error("got a response")
					}
					if o := f.failed(t); o.cause != late || o.notStarted {
						t.Errorf("%v (not started: %v): %v", o.cause, o.notStarted, o.err)
					}
				}
			})
		}
	}
}

// TestTruncatedUpload has a client that says more than it sends, which upstream
// must not take for the whole.
func TestTruncatedUpload(t *testing.T) {
	for _, kind := range []string{"http", "h2c", "unix"} {
		for _, head := range []string{"Content-Length: 10\r\n\r\nabc", "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"} {
			t.Run(kind, func(t *testing.T) {
				read := make(chan error, 1)
				f := startFront2(t, kind, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					_, err := io.ReadAll(r.Body)
					read <- err
				}))
				conn, err := net.Dial("tcp", f.address)
				if err != nil {
					t.Fatal(err)
				}
				defer conn.Close()
				fmt.Fprintf(conn, "POST / HTTP/1.1\r\nHost: a\r\n%s", head)
				_ = conn.(*net.TCPConn).CloseWrite()
				if err := <-read; err == nil {
					t.Error("upstream saw a complete request")
				}
				o := f.failed(t)
				if o.cause != culvertv1.Cause_CAUSE_MALFORMED_REQUEST && o.cause != culvertv1.Cause_CAUSE_CANCELED || o.notStarted {
					t.Errorf("%v (not started: %v): %v", o.cause, o.notStarted, o.err)
				}
			})
		}
	}
}

// TestTruncatedHTTP2 has an HTTP/2 upstream that fails before and after the head. The
// client sees what came before that.
func TestTruncatedHTTP2(t *testing.T) {
	for _, kind := range []string{"h2c", "https"} {
		for _, path := range []string{"/before", "/after"} {
			t.Run(kind+path, func(t *testing.T) {
				f := startFront2(t, kind, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if path == "/after" {
						_, _ = io.WriteString(w, "abc")
						http.NewResponseController(w).Flush()
					}
					panic(http.ErrAbortHandler)
				}))
				response, err := f.h1.Do(newRequest(t, "GET", f.url(path), nil))
				var body []byte
				if err == nil {
					body, err = io.ReadAll(response.Body)
					response.Body.Close()
				}
				if err == nil {
					t.Error("the client saw a complete response")
				}
				if path == "/after" && string(body) != "abc" {
					t.Errorf("the client saw the body %q: %v", body, err)
				}
				if o := f.failed(t); o.cause != failed || o.notStarted {
					t.Errorf("%v (not started: %v): %v", o.cause, o.notStarted, o.err)
				}
			})
		}
	}
}
