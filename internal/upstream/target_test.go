package upstream

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestParseTarget(t *testing.T) {
	for raw, want := range map[string]target{
		"http://localhost":      {network: "tcp", address: "localhost:80", authority: "localhost", host: "localhost"},
		"http://localhost:8000": {network: "tcp", address: "localhost:8000", authority: "localhost:8000", host: "localhost"},
		"http://[::1]:8000/":    {network: "tcp", address: "[::1]:8000", authority: "[::1]:8000", host: "::1"},
		"h2c://127.0.0.1:8000":  {network: "tcp", address: "127.0.0.1:8000", authority: "127.0.0.1:8000", host: "127.0.0.1", h2c: true},
		"https://example.com":   {network: "tcp", address: "example.com:443", authority: "example.com", host: "example.com", tls: true},
		"unix:/run/app.sock":    {network: "unix", address: "/run/app.sock", authority: "localhost"},
		"unix:///run/app.sock":  {network: "unix", address: "/run/app.sock", authority: "localhost"},
		"unix+h2c:app.sock":     {network: "unix", address: "app.sock", authority: "localhost", h2c: true},
	} {
		if got, err := parseTarget(raw); err != nil || got != want {
			t.Errorf("%s: %+v, %v\nwant %+v", raw, got, err, want)
		}
	}
	for _, raw := range []string{
		"", "localhost:8000", "/run/app.sock", "ftp://a", "http://", "http://:80", "unix:", "unix+h2c://",
		"http://a/path", "http://a?q", "http://a/?", "http://a#f", "http://user@a", "http://a:port", "http://a b",
	} {
		if got, err := parseTarget(raw); err == nil {
			t.Errorf("%s: %+v", raw, got)
		}
	}
}

// oddTargets are request targets that net/url would not leave alone.
var oddTargets = []string{
	"/", "//", "//x", "//x/y?a=b", "///", "/a//b/", "/%2e%2e/%2E", "/a%2fb", "/a|b", `/"quoted"`, "/caf\xe9", "/\xff\xfe?\xff",
	"//x|y", "//\xff?a|b", "/a?", "/?a=b?c", "/?a b"[:3], "/a;b=c", "/<>^`{}\\", "/%zz", "/a#b", "/[x]", "//user@host:80/x",
}

// TestRequestTargetHTTP1 looks at the request line itself.
func TestRequestTargetHTTP1(t *testing.T) {
	lines := make(chan string, 1)
	address := startRaw(t, func(conn net.Conn) {
		line, _ := bufio.NewReader(conn).ReadString('\n')
		lines <- line
		_, _ = io.WriteString(conn, "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
	})
	proxy, err := New("http://"+address, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer proxy.Close()
	for _, requestTarget := range oddTargets {
		r := httptest.NewRequestWithContext(testContext(t), "GET", "/", nil)
		r.RequestURI = requestTarget
		proxy.ServeHTTP(httptest.NewRecorder(), r)
		if got, want := <-lines, "GET "+requestTarget+" HTTP/1.1\r\n"; got != want {
			t.Errorf("sent %q, want %q", got, want)
		}
	}
}

func TestRequestTargetHTTP2(t *testing.T) {
	seen := make(chan string, 1)
	target, options := startUpstream(t, "h2c", http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		seen <- r.RequestURI
	}))
	proxy, err := New(target, options)
	if err != nil {
		t.Fatal(err)
	}
	defer proxy.Close()
	for _, requestTarget := range oddTargets {
		if strings.Contains(requestTarget, "%zz") {
			continue // net/http's server refuses it
		}
		r := httptest.NewRequestWithContext(testContext(t), "GET", "/", nil)
		r.RequestURI = requestTarget
		proxy.ServeHTTP(httptest.NewRecorder(), r)
		if got := <-seen; got != requestTarget {
			t.Errorf("sent %q, want %q", got, requestTarget)
		}
	}
}

func TestRequestTargetForms(t *testing.T) {
	f := startFront2(t, "http", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, r.Method, " ", r.RequestURI, " ", r.Host)
	}))
	for _, c := range []struct{ line, host, want string }{
		{"GET http://other:81//a|b?c", "ignored", "GET //a|b?c other:81"},
		{"GET http://other", "ignored", "GET / other"},
		{"GET http://other?a", "ignored", "GET /?a other"},
	} {
		conn, err := net.Dial("tcp", f.address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		fmt.Fprintf(conn, "%s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", c.line, c.host)
		response, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := readAll(t, response.Body); got != c.want {
			t.Errorf("%s: upstream saw %q, want %q", c.line, got, c.want)
		}
	}
}

// TestOptionsAsterisk needs a raw upstream, since net/http's server answers OPTIONS
// * itself.
func TestOptionsAsterisk(t *testing.T) {
	lines := make(chan string, 1)
	address := startRaw(t, func(conn net.Conn) {
		line, _ := bufio.NewReader(conn).ReadString('\n')
		lines <- line
		_, _ = io.WriteString(conn, "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
	})
	proxy, err := New("http://"+address, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer proxy.Close()
	r := httptest.NewRequestWithContext(testContext(t), "OPTIONS", "*", nil)
	proxy.ServeHTTP(httptest.NewRecorder(), r)
	if got := <-lines; got != "OPTIONS * HTTP/1.1\r\n" {
		t.Errorf("sent %q", got)
	}
}

// TestInvalidRequests has requests that frames could hold and net/http's own
// parser would have refused.
func TestInvalidRequests(t *testing.T) {
	proxy, err := New("http://127.0.0.1:1", Options{Via: "me"})
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*http.Request){
		"method":     func(r *http.Request) { r.Method = "GET / HTTP/1.1\r\nX: y\r\n" },
		"CONNECT":    func(r *http.Request) { r.Method = "CONNECT" },
		"line break": func(r *http.Request) { r.RequestURI = "/a\r\nX: y" },
		"space":      func(r *http.Request) { r.RequestURI = "/a HTTP/1.1" },
		"relative":   func(r *http.Request) { r.RequestURI = "a" },
		"asterisk":   func(r *http.Request) { r.RequestURI = "*" },
		"authority":  func(r *http.Request) { r.Host = "a\r\nX: y" },
		"path there": func(r *http.Request) { r.Host = "a/b" },
		"name":       func(r *http.Request) { r.Header["A: b\r\nC"] = []string{"d"} },
		"value":      func(r *http.Request) { r.Header["A"] = []string{"b\r\nC: d"} },
		"upgrade": func(r *http.Request) {
			r.Header["Connection"], r.Header["Upgrade"] = []string{"upgrade"}, []string{"a\r\nB: c"}
		},
		"loop": func(r *http.Request) { r.Header["Via"] = []string{"1.1 other, 2 me"} },
	} {
		r := httptest.NewRequestWithContext(testContext(t), "GET", "/", nil)
		change(r)
		err := newExchange(proxy, httptest.NewRecorder(), r).run()
		if !is[invalidRequestError](err) && err != errLoop {
			t.Errorf("%s: %v", name, err)
		}
	}
}
