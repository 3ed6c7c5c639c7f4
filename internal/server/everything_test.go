package server

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/culvert-http/culvert"
)

// TestEverythingGoesToTheHandler has a handler that is mounted on "/" get targets
// that a ServeMux would change or refuse.
func TestEverythingGoesToTheHandler(t *testing.T) {
	echo := roundTripper(func(r *http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: http.StatusOK, Header: make(http.Header), ContentLength: -1, Body: io.NopCloser(
			strings.NewReader(r.Method + " " + r.URL.RequestURI()))}, nil
	})
	health := NewHealth()
	_, addr := start(t, Config{
		Pattern:   "/",
		Handler:   culvert.NewGateway(echo),
		Health:    health,
		ReadyPath: "/readyz",
		LivePath:  "/livez",
	}, anyPort)
	for request, want := range map[string]string{
		"GET /":                                 "GET /",
		"GET /a//b/../c":                        "GET /a//b/../c",
		"GET //x":                               "GET //x",
		"OPTIONS *":                             "OPTIONS *",
		"POST /readyz":                          "POST /readyz",
		"GET /readyz/":                          "GET /readyz/",
		"GET /grpc.health.v1.Health/Check":      "GET /grpc.health.v1.Health/Check",
		"GET /" + culvert.ServiceName + "/Call": "GET /" + culvert.ServiceName + "/Call",
		"GET /readyz":                           "ready\n",
		"GET /livez?x":                          "alive\n",
	} {
		if got := bodyOf(t, addr, request); got != want {
			t.Errorf("%s: %q, want %q", request, got, want)
		}
	}
	health.Drain()
	if got := bodyOf(t, addr, "GET /readyz"); got != "not ready\n" {
		t.Errorf("readiness while it drains: %q", got)
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func bodyOf(tb testing.TB, addr, request string) string {
	tb.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		tb.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "%s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", request)
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		tb.Fatalf("%s: %v", request, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		tb.Fatalf("%s: %v", request, err)
	}
	return string(body)
}
