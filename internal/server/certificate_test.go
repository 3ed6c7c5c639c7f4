package server

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/culvert-http/culvert"
	culvertv1 "github.com/culvert-http/culvert/api/culvert/v1"
	"github.com/culvert-http/culvert/api/culvert/v1/culvertv1connect"
	"github.com/culvert-http/culvert/internal/testcert"
	"golang.org/x/net/http2"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
)

// keyPair is a self-signed certificate for the loopback, and its key, in files.
type keyPair struct{ cert, key string }

func newKeyPair(tb testing.TB, dir, name string, notAfter time.Time) keyPair {
	tb.Helper()
	cert, key, err := testcert.New(name, notAfter)
	if err != nil {
		tb.Fatal(err)
	}
	pair := keyPair{cert: filepath.Join(dir, "tls.crt"), key: filepath.Join(dir, "tls.key")}
	for path, content := range map[string][]byte{pair.cert: cert, pair.key: key} {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			tb.Fatal(err)
		}
	}
	return pair
}

func nextYear() time.Time { return time.Now().AddDate(1, 0, 0) }

// startTLS serves app with a certificate and returns the address, the files of
// the certificate, and how clients trust it.
func startTLS(tb testing.TB, app http.Handler) (addr string, pair keyPair, trust *tls.Config) {
	tb.Helper()
	pair = newKeyPair(tb, tb.TempDir(), "first", nextYear())
	certificate, err := OpenCertificate(pair.cert, pair.key, slog.New(slog.DiscardHandler))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(certificate.Close)
	config := tunnelConfig(app)
	config.TLS = certificate.TLSConfig()
	_, addr = start(tb, config, anyPort)
	roots := x509.NewCertPool()
	roots.AddCert(certificate.Current().Leaf)
	return addr, pair, &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
}

func newTLSClient(tb testing.TB, trust *tls.Config, http2 bool) *http.Client {
	tb.Helper()
	var protocols http.Protocols
	protocols.SetHTTP1(!http2)
	protocols.SetHTTP2(http2)
	transport := &http.Transport{Protocols: &protocols, TLSClientConfig: trust.Clone()}
	tb.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// TestTLS has an application say what it sees of the connection of the RPC.
func TestTLS(t *testing.T) {
	addr, _, trust := startTLS(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		peer, _ := culvert.PeerFromContext(r.Context())
		if r.TLS == nil || peer.TLS == nil || !peer.TLS.HandshakeComplete {
			http.Error(w, "no TLS", http.StatusTeapot)
			return
		}
		_, _ = io.WriteString(w, peer.TLS.NegotiatedProtocol)
	}))
	for name, test := range map[string]struct {
		http2 bool
		opts  []connect.ClientOption
		want  string
	}{
		// The client offers no protocols then.
		"connect over HTTP/1.1":  {false, nil, ""},
		"connect over HTTP/2":    {true, nil, "h2"},
		"grpc":                   {true, []connect.ClientOption{connect.WithGRPC()}, "h2"},
		"grpc-web over HTTP/1.1": {false, []connect.ClientOption{connect.WithGRPCWeb()}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			client := culvertv1connect.NewHTTPServiceClient(newTLSClient(t, trust, test.http2), "https://"+addr, test.opts...)
			resp, err := call(testContext(t), client, "/")
			if err != nil || resp.GetStatus() != http.StatusOK || string(resp.GetBody()) != test.want {
				t.Errorf("Call() = %d %q, %v, want %q", resp.GetStatus(), resp.GetBody(), err, test.want)
			}
			if !test.http2 {
				return
			}
			stream := client.Exchange(testContext(t))
			if err := stream.Send(&culvertv1.RequestFrame{Head: &culvertv1.RequestHead{Path: "/"}, End: true}); err != nil {
				t.Fatal(err)
			}
			frame, err := stream.Receive()
			if err != nil || frame.GetHead().GetStatus() != http.StatusOK {
				t.Errorf("Exchange() = %v, %v, want status 200", frame, err)
			}
			_ = stream.CloseRequest()
			_ = stream.CloseResponse()
		})
	}
	t.Run("grpc-go", func(t *testing.T) {
		conn, err := grpc.NewClient("passthrough:///"+addr, grpc.WithTransportCredentials(credentials.NewTLS(trust)))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		got, err := healthpb.NewHealthClient(conn).Check(testContext(t), &healthpb.HealthCheckRequest{})
		if err != nil || got.GetStatus() != serving {
			t.Errorf("Check() = %v, %v, want SERVING", got, err)
		}
	})
}

func TestHandshakes(t *testing.T) {
	addr, _, trust := startTLS(t, http.NotFoundHandler())
	for _, test := range []struct {
		name    string
		version uint16
		offered []string
		want    string
		refused bool
	}{
		{"TLS 1.3", tls.VersionTLS13, []string{"h2", "http/1.1"}, "h2", false},
		{"TLS 1.2", tls.VersionTLS12, []string{"h2", "http/1.1"}, "h2", false},
		{"TLS 1.2 with HTTP/1.1 alone", tls.VersionTLS12, []string{"http/1.1"}, "http/1.1", false},
		{"TLS 1.1", tls.VersionTLS11, []string{"h2", "http/1.1"}, "", true},
		{"TLS 1.0", tls.VersionTLS10, nil, "", true},
		{"no ALPN", tls.VersionTLS13, nil, "", false},
		{"another protocol", tls.VersionTLS13, []string{"spdy/3"}, "", true},
	} {
		t.Run(test.name, func(t *testing.T) {
			config := trust.Clone()
			config.MinVersion, config.MaxVersion, config.NextProtos = test.version, test.version, test.offered
			conn, err := (&tls.Dialer{Config: config}).DialContext(testContext(t), "tcp", addr)
			if err != nil {
				if !test.refused {
					t.Errorf("dial: %v", err)
				}
				return
			}
			defer conn.Close()
			secured, _ := conn.(*tls.Conn)
			state := secured.ConnectionState()
			if test.refused || state.Version != test.version || state.NegotiatedProtocol != test.want {
				t.Errorf("version %x with %q, want %x with %q, refused %v",
					state.Version, state.NegotiatedProtocol, test.version, test.want, test.refused)
			}
		})
	}
}

func TestWindowsOnTheWireWithTLS(t *testing.T) {
	addr, _, trust := startTLS(t, http.NotFoundHandler())
	trust.NextProtos = []string{http2.NextProtoTLS}
	conn, err := (&tls.Dialer{Config: trust}).DialContext(testContext(t), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	stream, total, err := readWindows(conn)
	if err != nil || stream != 4<<20 || total != 64<<20 {
		t.Errorf("windows are %d and %d, %v, want 4 MiB and 64 MiB", stream, total, err)
	}
}

func TestNothingIsServedWithoutTLS(t *testing.T) {
	addr, _, _ := startTLS(t, http.NotFoundHandler())
	if status, body := get(t, http.MethodGet, "http://"+addr+"/"); status != http.StatusBadRequest {
		t.Errorf("status %d with %q, want 400", status, body)
	}
	if resp, err := newClient(t, true).Get("http://" + addr + "/"); err == nil {
		resp.Body.Close()
		t.Errorf("HTTP/2 without TLS: status %d, want an error", resp.StatusCode)
	}
}

// servedName is the name in the certificate that a new connection gets.
func servedName(tb testing.TB, addr string) string {
	tb.Helper()
	config := &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS12}
	conn, err := (&tls.Dialer{Config: config}).DialContext(testContext(tb), "tcp", addr)
	if err != nil {
		tb.Fatal(err)
	}
	defer conn.Close()
	secured, _ := conn.(*tls.Conn)
	return secured.ConnectionState().PeerCertificates[0].Subject.CommonName
}

func TestNewConnectionsGetTheNewCertificate(t *testing.T) {
	addr, pair, trust := startTLS(t, http.NotFoundHandler())
	old := newTLSClient(t, trust, true)
	if status := statusOf(t, old, "https://"+addr+"/"); status != http.StatusNotFound {
		t.Fatalf("status %d, want 404", status)
	}
	newKeyPair(t, filepath.Dir(pair.cert), "second", nextYear())
	for servedName(t, addr) != "second" {
		if t.Context().Err() != nil {
			t.Fatal("the certificate did not change")
		}
	}
	// The connection that is open stays: its client does not trust the new one.
	if status := statusOf(t, old, "https://"+addr+"/"); status != http.StatusNotFound {
		t.Errorf("on the connection from before: status %d, want 404", status)
	}
}

func statusOf(tb testing.TB, client *http.Client, url string) int {
	tb.Helper()
	req, err := http.NewRequestWithContext(testContext(tb), http.MethodGet, url, nil)
	if err != nil {
		tb.Fatal(err)
	}
	resp, err := client.Do(req)
	if err != nil {
		tb.Fatal(err)
	}
	defer resp.Body.Close()
	return resp.StatusCode
}

// logLines is a log that a test waits for.
type logLines chan string

func (l logLines) Write(p []byte) (int, error) {
	l <- string(p)
	return len(p), nil
}

func TestBrokenPairLeavesTheOneBefore(t *testing.T) {
	pair := newKeyPair(t, t.TempDir(), "first", nextYear())
	lines := make(logLines, 10)
	certificate, err := OpenCertificate(pair.cert, pair.key, slog.New(slog.NewTextHandler(lines, nil)))
	if err != nil {
		t.Fatal(err)
	}
	defer certificate.Close()
	// The certificate of another key.
	other := newKeyPair(t, t.TempDir(), "second", nextYear())
	if err := os.Rename(other.cert, pair.cert); err != nil {
		t.Fatal(err)
	}
	if line := <-lines; !strings.Contains(line, "level=ERROR") || !strings.Contains(line, pair.cert) {
		t.Errorf("logged %q, want an error that names the file", line)
	}
	if name := certificate.Current().Leaf.Subject.CommonName; name != "first" {
		t.Errorf("the certificate is that of %s, want that from before", name)
	}
	if err := os.Rename(other.key, pair.key); err != nil {
		t.Fatal(err)
	}
	if line := <-lines; !strings.Contains(line, "level=INFO") {
		t.Errorf("logged %q, want that all is well", line)
	}
	if name := certificate.Current().Leaf.Subject.CommonName; name != "second" {
		t.Errorf("the certificate is that of %s, want the second", name)
	}
}

func TestOpenCertificate(t *testing.T) {
	dir := t.TempDir()
	pair, other := newKeyPair(t, dir, "one", nextYear()), newKeyPair(t, t.TempDir(), "other", nextYear())
	empty := filepath.Join(dir, "empty")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, files := range map[string]keyPair{
		"another key":   {pair.cert, other.key},
		"swapped":       {pair.key, pair.cert},
		"empty":         {empty, pair.key},
		"no key":        {pair.cert, filepath.Join(dir, "none")},
		"a folder":      {dir, pair.key},
		"no such place": {filepath.Join(empty, "x"), pair.key},
	} {
		certificate, err := OpenCertificate(files.cert, files.key, slog.New(slog.DiscardHandler))
		if err == nil {
			certificate.Close()
			t.Errorf("%s: no error", name)
		} else if strings.Contains(err.Error(), "\n") || !strings.Contains(err.Error(), dir) {
			t.Errorf("%s: %q, want one line with the name of a file", name, err)
		}
	}
	lines := make(logLines, 1)
	expired := newKeyPair(t, t.TempDir(), "expired", time.Now().Add(-time.Hour))
	certificate, err := OpenCertificate(expired.cert, expired.key, slog.New(slog.NewTextHandler(lines, nil)))
	if err != nil {
		t.Fatal(err)
	}
	defer certificate.Close()
	if line := <-lines; !strings.Contains(line, "has expired") {
		t.Errorf("logged %q, want a warning", line)
	}
}
