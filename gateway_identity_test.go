package culvert_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/culvert-http/culvert"
	culvertv1 "github.com/culvert-http/culvert/api/culvert/v1"
)

// Whom a gateway does not let in reaches nothing, and nothing of its body is
// waited for.
func TestGatewayRefusesClients(t *testing.T) {
	for _, version := range []httpVersion{http1, http2Cleartext} {
		for _, test := range []struct {
			err  error
			text string
		}{
			{errors.New("secret reason"), "the gateway does not know this client"},
			{
				&culvert.Error{Cause: culvertv1.Cause_CAUSE_PERMISSION_DENIED, Err: errors.New("secret reason")},
				"this client may not use the gateway",
			},
		} {
			records := make(chan culvert.Record, 1)
			addr := startServer(t, newGateway(func(*http.Request) (*http.Response, error) {
				t.Error("the request went on")
				return nil, errors.New("no")
			},
				culvert.WithGatewayAuthenticator(func(*http.Request) (culvert.Identity, error) { return culvert.Identity{}, test.err }),
				culvert.WithGatewayObserver(func(_ context.Context, record culvert.Record) { records <- record }),
			))
			body, writer := io.Pipe()
			resp, err := newFrontClient(t, addr, version).Post("http://"+addr+"/", "text/plain", body)
			if err != nil {
				t.Fatal(err)
			}
			_ = writer.Close()
			text := readAll(t, resp)
			if resp.StatusCode != http.StatusForbidden || !strings.Contains(text, test.text) || strings.Contains(text, "secret") ||
				version == http1 && !resp.Close || !strings.Contains(resp.Header.Get("Proxy-Status"), "error=http_request_denied") {
				t.Errorf("%v: %d %q, %v, want 403 %q", version, resp.StatusCode, text, resp.Header, test.text)
			}
			if record := <-records; record.Err == nil || !strings.Contains(record.Err.Error(), "secret reason") {
				t.Errorf("%v: the record has the error %v", version, record.Err)
			}
		}
	}
}

func readAll(tb testing.TB, resp *http.Response) string {
	tb.Helper()
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		tb.Fatal(err)
	}
	return string(body)
}

// Whatever runs at a gateway under a credential does not outlive it.
func TestGatewayCredentialThatEnds(t *testing.T) {
	for _, version := range []httpVersion{http1, http2Cleartext} {
		for _, path := range []string{"/", "/flushed", "/body"} {
			t.Run(version.String()+path, func(t *testing.T) {
				app := newBlocker()
				addr, revoke := startRevocable(t, app)
				go func() {
					<-app.begun
					revoke()
				}()
				if err := askFor(t, addr, version, path); err == nil || isTimeout(err) {
					t.Errorf("got %v, want a response that is cut", err)
				}
			})
		}
	}
}

// askFor sends a request, whose body never ends where the path says so, and returns
// how the response has ended.
func askFor(t *testing.T, addr string, version httpVersion, path string) error {
	t.Helper()
	if path == "/body" && version == http1 { // net/http's client would wait for its body
		conn := dial(t, addr)
		fmt.Fprint(conn, "POST /body HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n")
		_, err := http.ReadResponse(bufio.NewReader(conn), nil)
		return err
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+addr+path, http.NoBody)
	if err != nil {
		return err
	}
	if path == "/body" {
		body, writer := io.Pipe()
		defer writer.Close()
		request.Method, request.Body = http.MethodPost, body
	}
	resp, err := newFrontClient(t, addr, version).Do(request)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	return err
}

func isTimeout(err error) bool {
	var timeout interface{ Timeout() bool }
	return errors.As(err, &timeout) && timeout.Timeout()
}

// startRevocable serves a gateway to app, whose clients have a credential until it
// is revoked.
func startRevocable(tb testing.TB, app http.Handler) (addr string, revoke context.CancelFunc) {
	tb.Helper()
	credential, revoke := context.WithCancel(tb.Context())
	tb.Cleanup(revoke)
	return startGateway(tb, app, tunnelled, culvert.WithGatewayCredentialGrace(0),
		culvert.WithGatewayAuthenticator(func(*http.Request) (culvert.Identity, error) {
			return culvert.Identity{Name: "somebody", Revoked: credential}, nil
		})), revoke
}

// A connection that was upgraded ends as well.
func TestGatewayCredentialOfAnUpgrade(t *testing.T) {
	addr, revoke := startRevocable(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		conn, buffered, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		fmt.Fprint(buffered, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
		_ = buffered.Flush()
		_, _ = io.Copy(io.Discard, buffered)
	}))
	conn := dial(t, addr)
	fmt.Fprint(conn, "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
	head := make([]byte, len("HTTP/1.1 101"))
	if _, err := io.ReadFull(conn, head); err != nil || string(head) != "HTTP/1.1 101" {
		t.Fatalf("got %q, %v", head, err)
	}
	revoke()
	if _, err := io.Copy(io.Discard, conn); isTimeout(err) {
		t.Error("the connection goes on")
	}
}

// The certificate that a client has shown goes on, and what it says of another's
// does only if it is believed by its name.
func TestGatewayClientCertificate(t *testing.T) {
	leaf := &x509.Certificate{Raw: []byte("raw bytes"), DNSNames: []string{"proxy.example"}}
	shown := &tls.ConnectionState{PeerCertificates: []*x509.Certificate{leaf}}
	verified := &tls.ConnectionState{PeerCertificates: shown.PeerCertificates, VerifiedChains: [][]*x509.Certificate{{leaf}}}
	const none, own, claimed = " of 127.0.0.1", ":cmF3IGJ5dGVz: of 127.0.0.1", ":AAAA: of 192.0.2.1, 127.0.0.1"
	for _, test := range []struct {
		name    string
		state   *tls.ConnectionState
		trusted string
		want    string
	}{
		{"no TLS", nil, "proxy.example", none},
		{"not verified", shown, "proxy.example", none},
		{"verified", verified, "other.example", own},
		{"of a proxy", verified, "proxy.example", claimed},
	} {
		gateway := newGateway(func(r *http.Request) (*http.Response, error) {
			return textResponse(r.Header.Get("Client-Cert") + " of " + r.Header.Get("X-Forwarded-For")), nil
		}, culvert.WithTrustedProxyNames(test.trusted))
		addr := startServer(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			r.TLS = test.state
			gateway.ServeHTTP(w, r)
		}))
		_, got := rawRequest(t, addr, "GET / HTTP/1.1\r\nHost: x\r\nClient-Cert: :AAAA:\r\nX-Forwarded-For: 192.0.2.1\r\n\r\n")
		if got != test.want {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
	}
}

// The grace has a client finish.
func TestGatewayCredentialGrace(t *testing.T) {
	app := newBlocker()
	addr := startGateway(t, app, tunnelled, culvert.WithGatewayCredentialGrace(time.Hour),
		culvert.WithGatewayAuthenticator(func(*http.Request) (culvert.Identity, error) {
			return culvert.Identity{Name: "somebody", Expires: time.Now().Add(-time.Second)}, nil
		}))
	go func() {
		<-app.begun
		close(app.proceed)
	}()
	resp, err := newFrontClient(t, addr, http1).Get("http://" + addr + "/flushed")
	if err != nil {
		t.Fatal(err)
	}
	readAll(t, resp)
}
