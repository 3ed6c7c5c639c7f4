package auth

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/culvert-http/culvert"
	culvertv1 "github.com/culvert-http/culvert/api/culvert/v1"
	"github.com/culvert-http/culvert/internal/peername"
)

func TestCertificates(t *testing.T) {
	now := time.Now()
	leaf := func(end time.Duration) *x509.Certificate {
		return &x509.Certificate{DNSNames: []string{"laptop.example"}, NotAfter: now.Add(end)}
	}
	authority := func(end time.Duration) *x509.Certificate { return &x509.Certificate{NotAfter: now.Add(end)} }
	chain := func(certificates ...*x509.Certificate) []*x509.Certificate { return certificates }
	list, err := peername.Parse([]string{"laptop.example"})
	if err != nil {
		t.Fatal(err)
	}
	others, err := peername.Parse([]string{"other.example"})
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name    string
		allowed peername.List
		state   *tls.ConnectionState
		expires time.Duration // 0: refused
		cause   culvertv1.Cause
	}{
		{name: "no TLS"},
		{name: "no certificate", state: &tls.ConnectionState{}},
		{name: "not verified", state: &tls.ConnectionState{PeerCertificates: chain(leaf(time.Hour))}},
		{name: "verified", state: &tls.ConnectionState{VerifiedChains: [][]*x509.Certificate{chain(leaf(time.Hour))}}, expires: time.Hour},
		{
			name: "the authority ends first", expires: time.Minute,
			state: &tls.ConnectionState{VerifiedChains: [][]*x509.Certificate{chain(leaf(time.Hour), authority(time.Minute))}},
		},
		{
			name: "two chains", expires: time.Hour,
			state: &tls.ConnectionState{VerifiedChains: [][]*x509.Certificate{
				chain(leaf(time.Hour), authority(time.Minute)), chain(leaf(time.Hour), authority(2*time.Hour)),
			}},
		},
		{
			name: "allowed", allowed: list, expires: time.Hour,
			state: &tls.ConnectionState{VerifiedChains: [][]*x509.Certificate{chain(leaf(time.Hour))}},
		},
		{
			name: "not allowed", allowed: others, cause: culvertv1.Cause_CAUSE_PERMISSION_DENIED,
			state: &tls.ConnectionState{VerifiedChains: [][]*x509.Certificate{chain(leaf(time.Hour))}},
		},
		{
			name: "expired since the handshake", cause: culvertv1.Cause_CAUSE_UNAUTHENTICATED,
			state: &tls.ConnectionState{VerifiedChains: [][]*x509.Certificate{chain(leaf(-time.Second))}},
		},
	} {
		identity, err := (&Certificates{Allowed: test.allowed}).Authenticate(&http.Request{TLS: test.state})
		if test.expires > 0 {
			if err != nil || identity.Name != "laptop.example" || !identity.Expires.Equal(now.Add(test.expires)) {
				t.Errorf("%s: %+v, %v", test.name, identity, err)
			}
			continue
		}
		refused, _ := errors.AsType[*culvert.Error](err)
		expired := test.cause == culvertv1.Cause_CAUSE_UNAUTHENTICATED // there may be another certificate by now
		if err == nil || test.cause != 0 && (refused == nil || refused.Cause != test.cause || refused.NotStarted != expired) {
			t.Errorf("%s: %+v, %v, want a refusal for %v", test.name, identity, err, test.cause)
		}
	}
}

// changing are authorities that change.
type changing struct{ while context.Context }

func (c changing) Verifies(*tls.ConnectionState) (context.Context, bool) {
	return c.while, c.while.Err() == nil
}

func TestCertificateOfAnAuthorityThatIsGone(t *testing.T) {
	leaf := &x509.Certificate{DNSNames: []string{"laptop.example"}, NotAfter: time.Now().Add(time.Hour)}
	r := &http.Request{TLS: &tls.ConnectionState{VerifiedChains: [][]*x509.Certificate{{leaf}}}}
	while, end := context.WithCancel(t.Context())
	certificates := &Certificates{Authorities: changing{while}}
	identity, err := certificates.Authenticate(r)
	if err != nil || identity.Revoked != while {
		t.Errorf("got %+v, %v, want one that is revoked with its authority", identity, err)
	}
	end()
	_, err = certificates.Authenticate(r)
	refused, _ := errors.AsType[*culvert.Error](err)
	if refused == nil || refused.Cause != culvertv1.Cause_CAUSE_UNAUTHENTICATED || !refused.NotStarted {
		t.Errorf("got %v, want that the client comes again with another certificate", err)
	}
}
