package onestream_test

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/culvert-http/culvert/internal/onestream"
)

// newServer returns an address at which net/http's server speaks HTTP/2.
func newServer(tb testing.TB, handler http.Handler, secure bool) func() net.Conn {
	tb.Helper()
	server := httptest.NewUnstartedServer(handler)
	if secure {
		server.EnableHTTP2 = true
		server.StartTLS()
	} else {
		server.Config.Protocols = new(http.Protocols)
		server.Config.Protocols.SetUnencryptedHTTP2(true)
		server.Start()
	}
	tb.Cleanup(server.Close)
	return func() net.Conn {
		tb.Helper()
		address := server.Listener.Addr().String()
		var conn net.Conn
		var err error
		if secure {
			config := server.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
			config.NextProtos = []string{"h2"}
			config.ServerName = "example.com"
			conn, err = tls.Dial("tcp", address, config)
		} else {
			conn, err = net.Dial("tcp", address)
		}
		if err != nil {
			tb.Fatal(err)
		}
		return conn
	}
}

// echo answers with what it reads, as it comes.
var echo = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	if _, ok := r.Header["X-Early"]; ok {
		w.Header().Set("X-Hint", "a")
		w.WriteHeader(http.StatusEarlyHints)
		w.Header().Del("X-Hint")
	}
	w.Header().Set("X-Target", r.Method+" "+r.Host+r.RequestURI)
	w.Header()["X-Seen"] = r.Header["X-Sent"]
	w.Header().Set("Trailer", "X-Bytes")
	control := http.NewResponseController(w)
	_ = control.Flush()
	n, buf := 0, make([]byte, 64<<10)
	for {
		m, err := r.Body.Read(buf)
		n += m
		_, _ = w.Write(buf[:m])
		_ = control.Flush()
		if err != nil {
			break
		}
	}
	w.Header().Set("X-Bytes", fmt.Sprint(n))
})

func TestRequestAndResponse(t *testing.T) {
	large := strings.Repeat("0123456789abcdef", 1<<20/16)
	for _, secure := range []bool{false, true} {
		for name, body := range map[string][]string{
			"empty":        nil,
			"small":        {"hello"},
			"empty pieces": {"", "a", "", "b", ""},
			"large":        {large, large, large},
			"large later":  {"a", large, "b"},
		} {
			t.Run(fmt.Sprintf("%s, TLS %v", name, secure), func(t *testing.T) {
				dial := newServer(t, echo, secure)
				request := newRequest(t)
				request.Header = http.Header{"X-Sent": {"1", "2"}, "X-Early": {""}, "Connection": {"close"}, "X-Long": {strings.Repeat("long", 10_000)}}
				response, err := onestream.RoundTrip(dial(), request, newPieces(body...).end(), config())
				if err != nil {
					t.Fatal(err)
				}
				read, err := io.ReadAll(response.Body)
				want := strings.Join(body, "")
				if err != nil || string(read) != want {
					t.Errorf("%d bytes of %d, %v", len(read), len(want), err)
				}
				if response.StatusCode != http.StatusOK || response.Header.Get("X-Target") != "POST server.example/a?b=c" ||
					fmt.Sprint(response.Header["X-Seen"]) != "[1 2]" || response.Header.Get("X-Hint") != "" {
					t.Errorf("head %d %v", response.StatusCode, response.Header)
				}
				if got := response.Trailer.Get("X-Bytes"); got != fmt.Sprint(len(want)) {
					t.Errorf("trailers %v", response.Trailer)
				}
			})
		}
	}
}

// Both directions are open at once, and what comes is there at once.
func TestFullDuplex(t *testing.T) {
	for _, secure := range []bool{false, true} {
		body := newPieces("0")
		response, err := onestream.RoundTrip(newServer(t, echo, secure)(), newRequest(t), body, config())
		if err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 100)
		for i := range 10 {
			n, err := response.Body.Read(buf)
			if err != nil || string(buf[:n]) != fmt.Sprint(i) {
				t.Fatalf("read %q, %v", buf[:n], err)
			}
			body.add(fmt.Append(nil, i+1))
		}
		body.end()
		if rest, err := io.ReadAll(response.Body); err != nil || string(rest) != "10" {
			t.Errorf("rest %q, %v", rest, err)
		}
	}
}

// A server that has answered need not read the rest of the request.
func TestServerThatDoesNotReadTheRest(t *testing.T) {
	dial := newServer(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusTeapot)
		_, _ = io.WriteString(w, "no")
	}), false)
	body := newPieces("a", strings.Repeat("b", 1<<20))
	response, read, err := exchange(t, dial(), body, config())
	if err != nil || read != "no" || response.StatusCode != http.StatusTeapot {
		t.Errorf("response %v, %q, %v", response, read, err)
	}
	<-body.closed
}

// A head that cannot be sent is an error.
func TestRequestsThatCannotBeSent(t *testing.T) {
	for _, header := range []http.Header{{"a b": {"c"}}, {"A": {"b\nc"}}} {
		_, conn := newPeer(t)
		request := newRequest(t)
		request.Header = header
		if _, err := onestream.RoundTrip(conn, request, newPieces("x"), config()); err == nil { //nolint:bodyclose // there is none
			t.Errorf("header %q is sent", header)
		}
	}
	_, conn := newPeer(t)
	request := newRequest(t)
	request.Host = "a b"
	if _, err := onestream.RoundTrip(conn, request, newPieces("x"), config()); err == nil { //nolint:bodyclose // as above
		t.Error("host is sent")
	}
}
