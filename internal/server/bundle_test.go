package server

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/culvert-http/culvert"
	culvertv1 "github.com/culvert-http/culvert/api/culvert/v1"
	"github.com/culvert-http/culvert/internal/testcert"
)

// An authority that is taken out of the file lets nobody in any more: what runs
// is cut after the grace, and connections from before are of no use.
func TestAuthorityThatIsTakenOut(t *testing.T) {
	t.Parallel()
	for _, method := range []culvert.Method{culvert.MethodSession, culvert.MethodExchange, culvert.MethodCall} {
		t.Run(method.String(), func(t *testing.T) {
			t.Parallel()
			running := make(chan struct{})
			m := newMutual(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/long" {
					close(running)
					<-r.Context().Done()
				}
			}), culvert.WithCredentialGrace(0))
			m.byFile = true
			other := newAuthority(t, "others")
			ours, theirs := m.transport(t, method, m.issue(t)), issue(t, other)
			m.get(t, ours)
			if _, err := m.ask(t, m.transport(t, method, theirs), "/"); err == nil {
				t.Fatal("a stranger is let in")
			}
			cut := make(chan error, 1)
			go func() {
				_, err := m.ask(t, ours, "/long")
				cut <- err
			}()
			<-running
			m.replace(t, other)
			wantUnauthenticated(t, <-cut)
			_, err := m.ask(t, ours, "/")
			if err == nil {
				t.Error("what was verified with the authority before is let in")
			}
			m.get(t, m.transport(t, method, theirs))
		})
	}
}

func wantUnauthenticated(tb testing.TB, err error) {
	tb.Helper()
	if tunnelErr, ok := errors.AsType[*culvert.Error](err); !ok || tunnelErr.Cause != culvertv1.Cause_CAUSE_UNAUTHENTICATED {
		tb.Errorf("got %v, want that the client is not authenticated", err)
	}
}

func newAuthority(tb testing.TB, name string) *testcert.Authority {
	tb.Helper()
	authority, err := testcert.NewAuthority(name)
	if err != nil {
		tb.Fatal(err)
	}
	return authority
}

// transport is that of a client with a certificate.
func (m *mutual) transport(tb testing.TB, method culvert.Method, certificate *tls.Certificate) *culvert.Transport {
	tb.Helper()
	transport, err := culvert.NewTransport(m.url, culvert.WithMethod(method), culvert.WithTLSConfig(&tls.Config{
		RootCAs: m.roots, MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{*certificate},
	}))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = transport.Close() })
	return transport
}

// ask sends a request without a deadline, which would end it by itself.
func (m *mutual) ask(tb testing.TB, transport *culvert.Transport, path string) (status int, err error) {
	tb.Helper()
	ctx, cancel := context.WithCancel(tb.Context())
	defer time.AfterFunc(patience, cancel).Stop()
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://app.example"+path, nil)
	if err != nil {
		return 0, err
	}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode, err
}

// stateOf is the state of a connection whose client's certificate was verified
// with the authorities of a bundle.
func stateOf(tb testing.TB, b *bundle, certificate *tls.Certificate) *tls.ConnectionState {
	tb.Helper()
	chains, err := certificate.Leaf.Verify(x509.VerifyOptions{
		Roots: b.pool, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	if err != nil {
		tb.Fatal(err)
	}
	return &tls.ConnectionState{PeerCertificates: []*x509.Certificate{certificate.Leaf}, VerifiedChains: chains}
}

// An authority with a new certificate of its own is the same one.
func TestBundles(t *testing.T) {
	first, second := newAuthority(t, "first"), newAuthority(t, "second")
	renewed, err := first.Renewed()
	if err != nil {
		t.Fatal(err)
	}
	namesake := newAuthority(t, "first")
	before := newBundle(first.PEM, nil)
	state := stateOf(t, before, issue(t, first))
	one := before.anchorOf(state)
	if one == nil || one.valid.Err() != nil {
		t.Fatalf("the authority is %+v", one)
	}
	for _, test := range []struct {
		name    string
		content []byte
		holds   bool
	}{
		{"the same", first.PEM, true},
		{"one more", append(second.PEM, first.PEM...), true},
		{"renewed", renewed.PEM, true},
		{"both certificates", append(renewed.PEM, first.PEM...), true},
		{"only the old one again", first.PEM, true},
		{"another", second.PEM, false},
		{"of the same name", namesake.PEM, false},
	} {
		after := newBundle(test.content, before)
		for range 2 { // the second time it is known
			if got := after.anchorOf(state); (got == one) != test.holds || (got == nil) == test.holds {
				t.Errorf("%s: got %+v", test.name, got)
			}
		}
		if test.holds {
			after.endOthers(before)
			before = after
		}
		if one.valid.Err() != nil {
			t.Fatalf("%s: the authority has ended", test.name)
		}
	}
	newBundle(namesake.PEM, before).endOthers(before)
	if one.valid.Err() == nil {
		t.Error("the authority that is taken out goes on")
	}
	if got := before.anchorOf(&tls.ConnectionState{}); got != nil {
		t.Errorf("a client without a certificate is of %+v", got)
	}
}
