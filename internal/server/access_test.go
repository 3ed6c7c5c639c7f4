package server

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/culvert-http/culvert"
	culvertv1 "github.com/culvert-http/culvert/api/culvert/v1"
	"github.com/culvert-http/culvert/internal/auth"
	"github.com/culvert-http/culvert/internal/testcert"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	reflectionpb "google.golang.org/grpc/reflection/grpc_reflection_v1"
)

// mutual is a server that wants client certificates.
type mutual struct {
	authority   *testcert.Authority
	authorities *Authorities
	caFile      string
	url         string
	roots       *x509.CertPool

	byFile bool // certificates end with their authorities only

	mu    sync.Mutex
	ended map[string]bool // certificates, by their serial numbers
	valid context.Context // done when the first of them ends
	end   context.CancelFunc
}

func newMutual(tb testing.TB, app http.Handler, opts ...culvert.HandlerOption) *mutual {
	tb.Helper()
	dir, quiet := tb.TempDir(), slog.New(slog.DiscardHandler)
	authority, err := testcert.NewAuthority("clients")
	if err != nil {
		tb.Fatal(err)
	}
	m := &mutual{authority: authority, ended: make(map[string]bool), caFile: filepath.Join(dir, "ca.pem")}
	m.valid, m.end = context.WithCancel(context.Background())
	tb.Cleanup(m.end)
	m.replace(tb, authority)
	if m.authorities, err = OpenAuthorities(m.caFile, quiet); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(m.authorities.Close)
	pair := newKeyPair(tb, dir, "server", nextYear())
	certificate, err := OpenCertificate(pair.cert, pair.key, quiet)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(certificate.Close)
	opts = append([]culvert.HandlerOption{culvert.WithCredentialGrace(time.Hour), culvert.WithAuthenticator(m.authenticate)}, opts...)
	config := tunnelConfig(app, opts...)
	config.TLS = certificate.TLSConfig()
	m.authorities.VerifyClients(config.TLS)
	_, addr := start(tb, config, anyPort)
	m.url = "https://" + addr
	m.roots = x509.NewCertPool()
	m.roots.AddCert(certificate.Current().Leaf)
	return m
}

// replace puts other authorities into the file.
func (m *mutual) replace(tb testing.TB, authorities ...*testcert.Authority) {
	tb.Helper()
	var content []byte
	for _, one := range authorities {
		content = append(content, one.PEM...)
	}
	if err := os.WriteFile(m.caFile, content, 0o600); err != nil {
		tb.Fatal(err)
	}
}

// authenticate is what serve does, with a certificate that ends when the test
// says so in place of its time.
func (m *mutual) authenticate(r *http.Request) (culvert.Identity, error) {
	identity, err := (&auth.Certificates{Authorities: m.authorities}).Authenticate(r)
	if err != nil || m.byFile {
		return identity, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.ended[r.TLS.PeerCertificates[0].SerialNumber.String()] {
		return identity, &culvert.Error{Cause: culvertv1.Cause_CAUSE_UNAUTHENTICATED, NotStarted: true, Err: errors.New("expired")}
	}
	if m.valid.Err() == nil {
		identity.Revoked = m.valid
	}
	return identity, nil
}

// expire ends the first certificate.
func (m *mutual) expire(certificate *tls.Certificate) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.ended[certificate.Leaf.SerialNumber.String()] = true
	m.end()
}

// issue returns a certificate for the client.
func (m *mutual) issue(tb testing.TB) *tls.Certificate {
	tb.Helper()
	return issue(tb, m.authority)
}

func issue(tb testing.TB, authority *testcert.Authority) *tls.Certificate {
	tb.Helper()
	cert, key, err := authority.Issue(nextYear(), "client.example")
	if err != nil {
		tb.Fatal(err)
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		tb.Fatal(err)
	}
	return &pair
}

// A client whose certificate is replaced in time loses nothing when the one
// before ends: its session drains, and the connection, which has shown the old
// one, is given up for another.
func TestClientCertificateThatIsReplaced(t *testing.T) {
	for _, method := range []culvert.Method{culvert.MethodSession, culvert.MethodExchange, culvert.MethodCall} {
		t.Run(method.String(), func(t *testing.T) {
			m := newMutual(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hi") }))
			var current atomic.Pointer[tls.Certificate]
			transport, err := culvert.NewTransport(m.url, culvert.WithMethod(method), culvert.WithTLSConfig(&tls.Config{
				RootCAs:    m.roots,
				MinVersion: tls.VersionTLS12,
				GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
					return current.Load(), nil
				},
			}))
			if err != nil {
				t.Fatal(err)
			}
			defer transport.Close()

			first := m.issue(t)
			current.Store(first)
			m.get(t, transport)
			current.Store(m.issue(t))
			m.get(t, transport)
			m.expire(first)
			for range 20 {
				m.get(t, transport)
			}
		})
	}
}

func (m *mutual) get(tb testing.TB, transport *culvert.Transport) {
	tb.Helper()
	req, err := http.NewRequestWithContext(testContext(tb), http.MethodGet, "http://app.example/", nil)
	if err != nil {
		tb.Fatal(err)
	}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		tb.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	_ = resp.Body.Close()
}

// Without a credential there is no reflection, and no message of it is read;
// health is for everybody.
func TestReflectionIsGuarded(t *testing.T) {
	config := tunnelConfig(http.NotFoundHandler())
	var refuse atomic.Bool
	refuse.Store(true)
	config.Authenticate = func(r *http.Request) (culvert.Identity, error) {
		if refuse.Load() {
			return culvert.Identity{}, errors.New("secret reason")
		}
		return culvert.Identity{}, nil
	}
	_, addr := start(t, config, anyPort)
	for _, service := range []string{"grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection"} {
		for _, test := range []struct {
			contentType string
			http2       bool
			status      int
			says        string // in the body, or in the status of gRPC
		}{
			{"application/grpc", true, http.StatusOK, "16"},
			{"application/grpc-web+proto", false, http.StatusOK, "16"},
			{"application/connect+json", true, http.StatusOK, "unauthenticated"},
		} {
			url := "http://" + addr + "/" + service + "/ServerReflectionInfo"
			status, says := post(t, newClient(t, test.http2), url, test.contentType)
			if status != test.status || !strings.Contains(says, test.says) || strings.Contains(says, "secret") {
				t.Errorf("%s, %s: %d %q, want %d with %q", service, test.contentType, status, says, test.status, test.says)
			}
		}
	}
	client := healthpb.NewHealthClient(dialGRPC(t, addr))
	if _, err := client.Check(testContext(t), &healthpb.HealthCheckRequest{}); err != nil {
		t.Errorf("health: %v", err)
	}
	refuse.Store(false)
	if _, says := post(t, newClient(t, true), "http://"+addr+"/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", "application/grpc"); says == "16" {
		t.Error("whoever has a credential was refused")
	}
}

// A stream of reflection ends with the credential that it was opened with.
func TestReflectionEndsWithItsCredential(t *testing.T) {
	revoked, revoke := context.WithCancel(t.Context())
	defer revoke()
	for name, identity := range map[string]culvert.Identity{
		"taken back": {Revoked: revoked},
		"expired":    {Revoked: t.Context(), Expires: time.Now().Add(time.Second)},
	} {
		t.Run(name, func(t *testing.T) {
			config := tunnelConfig(http.NotFoundHandler())
			config.Authenticate = func(*http.Request) (culvert.Identity, error) { return identity, nil }
			_, addr := start(t, config, anyPort)
			ctx := testContext(t)
			stream, err := reflectionpb.NewServerReflectionClient(dialGRPC(t, addr)).ServerReflectionInfo(ctx)
			if err != nil {
				t.Fatal(err)
			}
			err = stream.Send(&reflectionpb.ServerReflectionRequest{MessageRequest: &reflectionpb.ServerReflectionRequest_ListServices{}})
			if err == nil {
				_, err = stream.Recv()
			}
			if err != nil && identity.Expires.IsZero() {
				t.Fatal(err)
			}
			if identity.Revoked == revoked {
				revoke()
			}
			if _, err := stream.Recv(); err == nil || ctx.Err() != nil {
				t.Errorf("Recv() after the end = %v", err)
			}
		})
	}
}

// post sends what is no message, and returns what came of it.
func post(tb testing.TB, client *http.Client, url, contentType string) (status int, says string) {
	tb.Helper()
	req, err := http.NewRequestWithContext(testContext(tb), http.MethodPost, url, strings.NewReader("this is no message"))
	if err != nil {
		tb.Fatal(err)
	}
	req.Header.Set("Content-Type", contentType)
	resp, err := client.Do(req)
	if err != nil {
		tb.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		tb.Fatal(err)
	}
	return resp.StatusCode, strings.ToLower(resp.Header.Get("Grpc-Status") + resp.Trailer.Get("Grpc-Status") + string(body))
}

// A session of TLS that is resumed would let a client in whom the authorities of
// today do not know.
func TestClientsAreVerifiedEachTime(t *testing.T) {
	m := newMutual(t, http.NotFoundHandler())
	config := &tls.Config{
		RootCAs:            m.roots,
		MinVersion:         tls.VersionTLS12,
		Certificates:       []tls.Certificate{*m.issue(t)},
		ClientSessionCache: tls.NewLRUClientSessionCache(10),
	}
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		config.MaxVersion = version
		for range 2 {
			transport := &http.Transport{TLSClientConfig: config.Clone(), ForceAttemptHTTP2: true}
			resp, err := (&http.Client{Transport: transport}).Get(m.url)
			if err != nil {
				t.Fatal(err)
			}
			_, _ = io.Copy(io.Discard, resp.Body)
			_ = resp.Body.Close()
			if resp.TLS.DidResume {
				t.Errorf("TLS %x: the session was resumed", version)
			}
			transport.CloseIdleConnections()
		}
	}
}
