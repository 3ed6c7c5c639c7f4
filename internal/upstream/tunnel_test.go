package upstream

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/textproto"
	"strings"
	"testing"

	"github.com/culvert-http/culvert"
	culvertv1 "github.com/culvert-http/culvert/api/culvert/v1"
	"github.com/culvert-http/culvert/internal/bridge"
)

// startTunnel puts a proxy behind the tunnel, and returns a client for it.
func startTunnel(t *testing.T, target string, options Options) *http.Client {
	t.Helper()
	proxy, err := New(target, options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(proxy.Close)
	mux := http.NewServeMux()
	mux.Handle(culvert.NewHandler(proxy, culvert.WithUpgrades("shout")))
	server := httptest.NewUnstartedServer(mux)
	server.Config.Protocols = new(http.Protocols)
	server.Config.Protocols.SetUnencryptedHTTP2(true)
	server.Start()
	t.Cleanup(server.Close)
	transport, err := culvert.NewTransport(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = transport.Close() })
	return &http.Client{Transport: transport}
}

// TestTunnel does what is hardest to get through through the tunnel.
func TestTunnel(t *testing.T) {
	handler := func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") != "" {
			shout(w, r)
			return
		}
		_ = http.NewResponseController(w).EnableFullDuplex()
		w.Header().Set("Link", "</a>")
		w.WriteHeader(http.StatusEarlyHints)
		w.Header().Del("Link")
		w.Header().Set("X-Target", r.RequestURI)
		echoLines(w, r)
		w.Header().Set(http.TrailerPrefix+"X-After", "1")
	}
	for _, kind := range targetKinds {
		t.Run(kind, func(t *testing.T) {
			target, options := startUpstream(t, kind, http.HandlerFunc(handler))
			client := startTunnel(t, target, options)
			t.Run("duplex", func(t *testing.T) { testTunnelDuplex(t, client) })
			t.Run("upgrade", func(t *testing.T) { testTunnelUpgrade(t, client) })
		})
	}
}

func testTunnelDuplex(t *testing.T, client *http.Client) {
	t.Helper()
	reader, writer := io.Pipe()
	go func() { _, _ = io.WriteString(writer, "0\n") }()
	var links []string
	trace := &httptrace.ClientTrace{Got1xxResponse: func(_ int, header textproto.MIMEHeader) error {
		links = append(links, header["Link"]...)
		return nil
	}}
	r := newRequest(t, "POST", "http://app/", reader)
	r.URL.Opaque = "/a|b?c"
	response, err := client.Do(r.WithContext(httptrace.WithClientTrace(r.Context(), trace)))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	answers := bufio.NewReader(response.Body)
	for i := range 100 {
		if i > 0 {
			fmt.Fprintf(writer, "%d\n", i)
		}
		if got, err := answers.ReadString('\n'); err != nil || got != fmt.Sprintf("%d\n", i) {
			t.Fatalf("answer %d: %q, %v", i, got, err)
		}
	}
	_ = writer.Close()
	if rest := readAll(t, answers); rest != "" {
		t.Errorf("after the end: %q", rest)
	}
	if len(links) != 1 || response.Header.Get("X-Target") != "/a|b?c" || response.Trailer.Get("X-After") != "1" {
		t.Errorf("interim %q, header %q, trailer %q", links, response.Header, response.Trailer)
	}
}

func testTunnelUpgrade(t *testing.T, client *http.Client) {
	t.Helper()
	r := newRequest(t, "GET", "http://app/", nil)
	r.Header = http.Header{"Connection": {"Upgrade"}, "Upgrade": {"shout"}}
	response, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	conn, ok := response.Body.(io.ReadWriteCloser)
	if !ok || response.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("got %v", response)
	}
	defer conn.Close()
	_, _ = io.WriteString(conn, "a\nb\n")
	_ = conn.(closeWriter).CloseWrite()
	if got := readAll(t, conn); got != "hello \nA\nB\nbye\n" {
		t.Errorf("got %q", got)
	}
}

// TestTunnelCauses looks at what the client of the tunnel is told.
func TestTunnelCauses(t *testing.T) {
	abort := func(after string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			if after != "" {
				_, _ = io.WriteString(w, after)
				_ = http.NewResponseController(w).Flush()
			}
			panic(http.ErrAbortHandler)
		}
	}
	for _, kind := range []string{"http", "h2c"} {
		before, options := startUpstream(t, kind, abort(""))
		after, _ := startUpstream(t, kind, abort("x"))
		for _, c := range []struct {
			name, target string
			cause        culvertv1.Cause
			notStarted   bool
		}{
			{"unreachable", kind + "://127.0.0.1:1", unreachable, true},
			{"before the head", before, failed, false},
			{"after the head", after, culvertv1.Cause_CAUSE_RESPONSE_TRUNCATED, false},
		} {
			t.Run(kind+"/"+c.name, func(t *testing.T) {
				client := startTunnel(t, c.target, options)
				response, err := client.Do(newRequest(t, "POST", "http://app/", strings.NewReader("x")))
				if err == nil {
					_, err = io.ReadAll(response.Body)
					_ = response.Body.Close()
				}
				tunnelErr, ok := errors.AsType[*bridge.Error](err)
				if !ok || tunnelErr.Cause != c.cause || tunnelErr.NotStarted != c.notStarted {
					t.Errorf("got %v: %+v", err, tunnelErr)
				}
			})
		}
	}
}

// TestTunnelEarlyResponse has an upstream that answers while the client goes on
// sending, or waits.
func TestTunnelEarlyResponse(t *testing.T) {
	for _, kind := range []string{"http", "h2c"} {
		target, options := startUpstream(t, kind, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_ = http.NewResponseController(w).EnableFullDuplex()
			w.WriteHeader(http.StatusRequestEntityTooLarge)
			_, _ = io.WriteString(w, "enough")
		}))
		client := startTunnel(t, target, options)
		for name, body := range map[string]io.Reader{"endless": endlessBody(), "blocked": blockedBody()} {
			t.Run(kind+"/"+name, func(t *testing.T) {
				ctx, cancel := context.WithCancel(testContext(t))
				defer cancel()
				response, err := client.Do(newRequest(t, "POST", "http://app/", body).WithContext(ctx))
				if err != nil {
					t.Fatal(err)
				}
				defer response.Body.Close()
				if got := readAll(t, response.Body); got != "enough" || response.StatusCode != http.StatusRequestEntityTooLarge {
					t.Errorf("status %d, body %q", response.StatusCode, got)
				}
			})
		}
	}
}
