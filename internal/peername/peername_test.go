package peername

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"net/url"
	"testing"
)

// certificate has names: DNS names, and URIs where there is "://".
func certificate(tb testing.TB, dns []string, uris ...string) *x509.Certificate {
	tb.Helper()
	leaf := &x509.Certificate{DNSNames: dns, Subject: pkix.Name{CommonName: "subject"}}
	for _, uri := range uris {
		u, err := url.Parse(uri)
		if err != nil {
			tb.Fatal(err)
		}
		leaf.URIs = append(leaf.URIs, u)
	}
	return leaf
}

func TestMatch(t *testing.T) {
	for _, test := range []struct {
		allowed   string
		dns, uris []string
		want      bool
	}{
		{"gateway.example", []string{"other.example", "gateway.example"}, nil, true},
		{"Gateway.Example.", []string{"gateway.EXAMPLE"}, nil, true},
		{"gateway.example", []string{"a.gateway.example"}, nil, false},
		{"gateway.example", []string{"gateway.example.evil"}, nil, false},
		{"gateway.example", []string{"*.example"}, nil, false},
		{"gateway.example", nil, []string{"spiffe://gateway.example"}, false},
		{"*.example", []string{"gateway.example"}, nil, true},
		{"*.example", []string{"a.gateway.example"}, nil, false},
		{"*.example", []string{"example"}, nil, false},
		{"*.example", []string{".example"}, nil, false},
		{"*.example", []string{"*.example"}, nil, false},
		{"spiffe://example.org/gateway", nil, []string{"spiffe://example.org/gateway"}, true},
		{"spiffe://example.org/gateway", nil, []string{"spiffe://example.org/gateway/admin"}, false},
		{"spiffe://example.org/gateway", nil, []string{"spiffe://example.org/Gateway"}, false},
		{"spiffe://example.org/gateway", nil, []string{"spiffe://example.org/%67ateway"}, false},
		{"spiffe://example.org/gateway", []string{"spiffe://example.org/gateway"}, nil, false},
		{"spiffe://example.org/ns/*", nil, []string{"spiffe://example.org/ns/a/sa/b"}, true},
		{"spiffe://example.org/ns/*", nil, []string{"spiffe://example.org/ns/"}, false},
		{"spiffe://example.org/ns/*", nil, []string{"spiffe://example.org/ns"}, false},
		{"spiffe://example.org/ns/*", nil, []string{"spiffe://example.org/nsx/a"}, false},
		{"spiffe://example.org/ns/*", nil, []string{"spiffe://example.org/ns/../admin"}, false},
		{"spiffe://example.org/ns/*", nil, []string{"spiffe://example.org/ns//admin"}, false},
		{"spiffe://example.org/*", nil, []string{"spiffe://example.org.evil/a"}, false},
		{"spiffe://example.org/a", nil, []string{"spiffe://other.org/b", "spiffe://example.org/a"}, false},
		{"spiffe://example.org/*", nil, []string{"spiffe://example.org/a", "https://example.org/a"}, false},
		{"https://example.org/a", nil, []string{"https://other.org/b", "https://example.org/a"}, true},
	} {
		list, err := Parse([]string{test.allowed})
		if err != nil {
			t.Fatal(err)
		}
		leaf := certificate(t, test.dns, test.uris...)
		if got := list.Match(leaf); got != test.want {
			t.Errorf("%q matches %v %v: %t, want %t", test.allowed, test.dns, test.uris, got, test.want)
		}
		verified := &tls.ConnectionState{PeerCertificates: []*x509.Certificate{leaf}, VerifiedChains: [][]*x509.Certificate{{leaf}}}
		if got := list.MatchVerified(verified); got != test.want {
			t.Errorf("%q matches verified %v %v: %t, want %t", test.allowed, test.dns, test.uris, got, test.want)
		}
		unverified := &tls.ConnectionState{PeerCertificates: []*x509.Certificate{leaf}}
		if list.MatchVerified(unverified) || list.MatchVerified(nil) {
			t.Errorf("%q matches a certificate that nobody has verified", test.allowed)
		}
	}
}

// A certificate that signs others is nobody's own.
func TestMatchOfASigner(t *testing.T) {
	list, err := Parse([]string{"spiffe://example.org/a", "a.example"})
	if err != nil {
		t.Fatal(err)
	}
	for name, sign := range map[string]func(*x509.Certificate){
		"an authority":     func(c *x509.Certificate) { c.IsCA = true },
		"of certificates":  func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign },
		"of revoked lists": func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageCRLSign },
	} {
		leaf := certificate(t, nil, "spiffe://example.org/a")
		if sign(leaf); list.Match(leaf) {
			t.Errorf("%s matches by its SPIFFE ID", name)
		}
		leaf.DNSNames = []string{"a.example"}
		if !list.Match(leaf) {
			t.Errorf("%s does not match by its DNS name", name)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for _, name := range []string{
		"", "*", "*.", ".", "a..b", "a b", "a/b", "a:1", "a@b", "a.*.b", "**.example",
		"spiffe://", "spiffe://*/a", "spiffe://example.org/a*", "spiffe:///a", "://x", "spiffe://example.org/*/b",
	} {
		if _, err := Parse([]string{name}); err == nil {
			t.Errorf("%q was taken", name)
		}
	}
}

func TestNameOf(t *testing.T) {
	for want, leaf := range map[string]*x509.Certificate{
		"spiffe://example.org/a": certificate(t, []string{"a.example"}, "spiffe://example.org/a"),
		"a.example":              certificate(t, []string{"a.example"}),
		"CN=subject":             certificate(t, nil),
	} {
		if got := NameOf(leaf); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
