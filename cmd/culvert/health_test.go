package main

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/culvert-http/culvert/internal/upstream"
)

// TestPathProbe has upstreams that answer with bytes of their own.
func TestPathProbe(t *testing.T) {
	for _, test := range []struct {
		name, answer string
		// want is part of the error, empty where the upstream is well.
		want string
	}{
		{"200", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", ""},
		{"a redirect", "HTTP/1.1 302 Found\r\nLocation: /login\r\nContent-Length: 0\r\n\r\n", ""},
		{"after an interim response", "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n", ""},
		{"a large body", "HTTP/1.1 200 OK\r\nContent-Length: 999999\r\n\r\n" + strings.Repeat("x", 2*maxProbeBody), ""},
		{"404", "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", "GET /healthz?full: status 404"},
		{"503", "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n", "GET /healthz?full: status 503"},
		{"not HTTP", "SSH-2.0-OpenSSH_9.2\r\n", "is not HTTP"},
		{"nothing", "", "is not HTTP, or was cut short"},
	} {
		t.Run(test.name, func(t *testing.T) {
			target := rawTarget(t, test.answer)
			err := (&pathProbe{target: target, path: "/healthz?full"}).check(t.Context())
			if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
				t.Errorf("check() = %v, want %q", err, test.want)
			}
		})
	}
}

func TestPathProbeSaysWhyNothingCame(t *testing.T) {
	target := rawTarget(t, "")
	gone, cancel := context.WithCancelCause(t.Context())
	errGone := errors.New("gone")
	cancel(errGone)
	if err := (&pathProbe{target: target, path: "/"}).check(gone); !errors.Is(err, errGone) {
		t.Errorf("check() = %v, want that of its context", err)
	}
	closed, err := openUpstream("http://127.0.0.1:1", &upstreamFlags{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = closed.close() }()
	err = (&pathProbe{target: closed, path: "/"}).check(t.Context())
	if err == nil || !strings.Contains(err.Error(), "connection refused") {
		t.Errorf("check() = %v, want that the connection was refused", err)
	}
}

// rawTarget answers each connection's first request with the bytes of answer, and
// closes it.
func rawTarget(tb testing.TB, answer string) *target {
	tb.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			if _, err := http.ReadRequest(bufio.NewReader(conn)); err == nil {
				_, _ = io.WriteString(conn, answer)
			}
			conn.Close()
		}
	}()
	proxy, err := upstream.New("http://"+listener.Addr().String(), upstream.Options{})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		proxy.Close()
		listener.Close()
		<-done
	})
	return &target{Handler: proxy, ready: proxy.Ready}
}
