package bridge

import (
	"crypto/tls"
	"encoding/base64"
	"net/http"
	"net/textproto"
	"strings"
)

// dropForwarded deletes the fields in which nobody who is trusted has said for
// whom a request is sent.
func dropForwarded(header http.Header, trusted bool) {
	for name := range header {
		if claims, plain := ForwardedField(name); claims && !(trusted && plain) {
			delete(header, name)
		}
	}
}

// ForwardedField reports whether a field, by its canonical name, claims for whom a
// request is sent: an address, a scheme, a host, a client certificate. It also
// says whether it is written as proxies write it. Applications that get their
// fields as CGI variables see "_", "." and "-" as the same, so that one in another
// spelling is nothing but an attempt to get past a proxy: drop it, whoever sends
// it.
func ForwardedField(name string) (claims, plain bool) {
	if len(name) < len("Forwarded") || name[0] != 'F' && name[0] != 'X' && (name[0] != 'C' || name[1] != 'l') {
		return false, false // nearly all, without another look
	}
	usual := PlainFieldName(name)
	switch usual {
	case "Forwarded", "X-Real-Ip", "Client-Cert", "Client-Cert-Chain":
		return true, usual == name
	default:
		return strings.HasPrefix(usual, "X-Forwarded-"), usual == name
	}
}

// PlainFieldName returns a field name in the canonical form that it has with
// hyphens in the place of everything else that is neither a letter nor a digit.
func PlainFieldName(name string) string {
	if strings.ContainsFunc(name, isOddInName) {
		name = strings.Map(func(r rune) rune {
			if isOddInName(r) {
				return '-'
			}
			return r
		}, name)
	}
	return textproto.CanonicalMIMEHeaderKey(name)
}

// ClientCertificate returns the value of Client-Cert for a connection, "" if there
// is no certificate of the client's that was verified [RFC 9440 § 2.2].
func ClientCertificate(state *tls.ConnectionState) string {
	if state == nil || len(state.VerifiedChains) == 0 {
		return ""
	}
	return ":" + base64.StdEncoding.EncodeToString(state.VerifiedChains[0][0].Raw) + ":"
}

// isOddInName reports whether a character of a field name is neither a letter nor
// a digit nor the hyphen between words.
func isOddInName(r rune) bool {
	return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-'
}

type (
	schemeKey  struct{}
	trustedKey struct{}
)

// OfTrustedPeer reports whether a request came from a peer that is believed in
// what it says of its client, so that the connection of the RPC says nothing of
// that.
func OfTrustedPeer(r *http.Request) bool {
	trusted, _ := r.Context().Value(trustedKey{}).(bool)
	return trusted
}

// SchemeOf returns the scheme by which the client of a request has come: what a
// trusted peer says, or that of the RPC; of a request that is none of the
// tunnel's, that of its connection.
func SchemeOf(r *http.Request) string {
	if scheme, _ := r.Context().Value(schemeKey{}).(string); scheme != "" {
		return scheme
	}
	if r.TLS != nil {
		return "https"
	}
	return "http"
}

// schemeOf is the scheme of an exchange, from its head and from its RPC.
func schemeOf(claimed string, origin *Origin) string {
	if origin.Trusted && claimed != "" {
		return claimed
	}
	return origin.Scheme
}
