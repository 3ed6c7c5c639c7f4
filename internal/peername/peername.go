// Package peername compares the names in verified certificates with lists of
// those that are allowed: DNS names, and URIs such as SPIFFE IDs.
package peername

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// A List is names that are allowed. The zero value allows none.
type List []pattern

// pattern is one entry of a list.
type pattern struct {
	uri  bool
	text string // without the wildcard
	wild bool
}

// Parse reads a list. A DNS name is compared without regard to case; one that
// begins with "*." stands for all names with exactly one label in its place. What
// has "://" is a URI, compared byte for byte, as the SPIFFE ID standard has it; one
// that ends with "/*" stands for all that go on at that place. A name that is
// neither is an error.
func Parse(names []string) (List, error) {
	list := make(List, 0, len(names))
	for _, name := range names {
		parsed, err := parse(name)
		if err != nil {
			return nil, err
		}
		list = append(list, parsed)
	}
	return list, nil
}

func parse(name string) (pattern, error) {
	if strings.Contains(name, "://") {
		text, wild := strings.CutSuffix(name, "*")
		u, err := url.Parse(text)
		if err != nil || u.Host == "" || strings.Contains(text, "*") || wild && !strings.HasSuffix(text, "/") {
			return pattern{}, fmt.Errorf("%q is not a URI such as spiffe://example.org/gateway, or spiffe://example.org/ns/*", name)
		}
		return pattern{uri: true, text: text, wild: wild}, nil
	}
	text, wild := strings.CutPrefix(name, "*.")
	text = strings.ToLower(strings.TrimSuffix(text, "."))
	if text == "" || strings.ContainsAny(text, "*/:@ ") || slices.Contains(strings.Split(text, "."), "") {
		return pattern{}, fmt.Errorf("%q is not a DNS name such as gateway.example, or *.mesh.example", name)
	}
	return pattern{text: text, wild: wild}, nil
}

// MatchVerified reports whether a connection was secured with a certificate of
// the other end's that was verified and has a name in the list.
func (l List) MatchVerified(state *tls.ConnectionState) bool {
	return state != nil && len(state.VerifiedChains) > 0 && l.Match(state.VerifiedChains[0][0])
}

// Match reports whether a certificate has a name in the list. Whether it is to be
// believed is for the caller to know.
func (l List) Match(certificate *x509.Certificate) bool {
	return slices.ContainsFunc(l, func(p pattern) bool { return p.matches(certificate) })
}

func (p pattern) matches(certificate *x509.Certificate) bool {
	if strings.HasPrefix(p.text, "spiffe://") && !isSVID(certificate) {
		return false
	}
	if p.uri {
		return slices.ContainsFunc(certificate.URIs, func(u *url.URL) bool { return p.matchesURI(u.String()) })
	}
	return slices.ContainsFunc(certificate.DNSNames, p.matchesDNS)
}

// isSVID reports whether a certificate can tell who somebody is by a SPIFFE ID:
// one with several has none, and one that signs others is nobody's own
// [X509-SVID § 5.2].
//
// [X509-SVID § 5.2]: https://github.com/spiffe/spiffe/blob/main/standards/X509-SVID.md#52-leaf-validation
func isSVID(certificate *x509.Certificate) bool {
	const signs = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	return len(certificate.URIs) == 1 && !certificate.IsCA && certificate.KeyUsage&signs == 0
}

func (p pattern) matchesURI(uri string) bool {
	if !p.wild {
		return uri == p.text
	}
	// What follows is all of one path: no dot segments that lead out of it.
	rest, ok := strings.CutPrefix(uri, p.text)
	return ok && rest != "" && !slices.ContainsFunc(strings.Split(rest, "/"), func(segment string) bool {
		return segment == "" || segment == "." || segment == ".."
	})
}

func (p pattern) matchesDNS(name string) bool {
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	if !p.wild {
		return name == p.text
	}
	// A certificate's own wildcard is a name of many hosts, and so of none.
	label, rest, ok := strings.Cut(name, ".")
	return ok && label != "" && label != "*" && rest == p.text
}

// NameOf returns the name by which a certificate is known: its first URI, its
// first DNS name, or its subject.
func NameOf(certificate *x509.Certificate) string {
	switch {
	case len(certificate.URIs) > 0:
		return certificate.URIs[0].String()
	case len(certificate.DNSNames) > 0:
		return certificate.DNSNames[0]
	default:
		return certificate.Subject.String()
	}
}
