package server

import (
	"net"
	"net/http"
	"strings"
	"testing"
)

func TestHostOnALoopbackListener(t *testing.T) {
	config := tunnelConfig(http.NotFoundHandler())
	config.Authorities = []string{"app.example", "exact.example:8443"}
	_, addr := start(t, config, anyPort)
	accepted, refused := http.StatusNotFound, http.StatusMisdirectedRequest
	for _, test := range []struct {
		host string
		want int
	}{
		{"localhost", accepted},
		{"LOCALHOST:8080", accepted},
		{"localhost.:80", accepted},
		{"app.localhost:8080", accepted},
		{"127.0.0.1", accepted},
		{"127.8.9.10:8080", accepted},
		{"[::1]", accepted},
		{"[::1]:8080", accepted},
		{"[::ffff:127.0.0.1]:80", accepted},
		{"app.example", accepted},
		{"APP.example:8080", accepted},
		{"exact.example:8443", accepted},
		{"exact.example", refused},
		{"exact.example:80", refused},
		{"evil.example", refused},
		{"evil.example:8080", refused},
		{"localhost.evil.example", refused},
		{"notlocalhost", refused},
		{"127.0.0.1.evil.example", refused},
		{"0.0.0.0", refused},
		{"192.0.2.1:8080", refused},
		{"[::]:8080", refused},
	} {
		for _, http2 := range []bool{false, true} {
			if got := statusFor(t, addr, test.host, http2); got != test.want {
				t.Errorf("Host %q, HTTP/2 %v: status %d, want %d", test.host, http2, got, test.want)
			}
		}
	}
}

func TestHostElsewhere(t *testing.T) {
	_, addr := start(t, tunnelConfig(http.NotFoundHandler()), "0.0.0.0:0")
	_, port, _ := net.SplitHostPort(addr)
	if got := statusFor(t, "127.0.0.1:"+port, "public.example", false); got != http.StatusNotFound {
		t.Errorf("on all addresses: status %d, want 404", got)
	}
	config := tunnelConfig(http.NotFoundHandler())
	config.AnyHost = true
	_, addr = start(t, config, anyPort)
	if got := statusFor(t, addr, "public.example", false); got != http.StatusNotFound {
		t.Errorf("with AnyHost: status %d, want 404", got)
	}
}

func TestHostIsRequiredOnALoopbackListener(t *testing.T) {
	_, addr := start(t, tunnelConfig(http.NotFoundHandler()), anyPort)
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte("GET / HTTP/1.0\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	line := make([]byte, len("HTTP/1.0 421"))
	if _, err := conn.Read(line); err != nil || !strings.HasSuffix(string(line), " 421") {
		t.Errorf("without Host: %q, %v, want status 421", line, err)
	}
}

func statusFor(tb testing.TB, addr, host string, http2 bool) int {
	tb.Helper()
	req, err := http.NewRequestWithContext(testContext(tb), http.MethodGet, "http://"+addr+"/", nil)
	if err != nil {
		tb.Fatal(err)
	}
	req.Host = host
	resp, err := newClient(tb, http2).Do(req)
	if err != nil {
		tb.Fatal(err)
	}
	defer resp.Body.Close()
	return resp.StatusCode
}
