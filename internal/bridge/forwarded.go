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
// it. So are Content-Length and Transfer-Encoding in another spelling.
func ForwardedField(name string) (claims, plain bool) {
	if !mayBeForwarded(name) {
		return false, false // nearly all, without another look
	}
	usual := PlainFieldName(name)
	return isForwarded(usual) || usual != name && isFraming(usual), usual == name
}

// mayBeForwarded looks at the beginning of a canonical name.
func mayBeForwarded(name string) bool {
	if len(name) < len("X-Scheme") {
		return false
	}
	switch name[0] {
	case 'F', 'X':
		return true
	case 'C':
		return name[1] == 'l' || name[1] == 'f' || name[1] == 'o' && len(name) == len("Content-Length")
	case 'S':
		return name[1] == 's'
	case 'T':
		return name[1] == 'r'
	default:
		return false
	}
}

// isForwarded has the fields of proxies, by the names that frameworks, and what
// their users copy, look for.
func isForwarded(name string) bool {
	switch name {
	case "Forwarded", "Forwarded-For", "X-Forwarded", "X-Real-Ip", "X-Original-For", "X-Original-Forwarded-For",
		"Client-Ip", "X-Client-Ip", "X-Cluster-Client-Ip", "X-Remote-Ip", "X-Remote-Addr", "X-Proxyuser-Ip", "X-Envoy-External-Address",
		"True-Client-Ip", "Cf-Connecting-Ip", "Cf-Connecting-Ipv6", "Cf-Pseudo-Ipv4", "Fastly-Client-Ip", "X-Appengine-User-Ip":
		return true // addresses
	case "X-Scheme", "X-Url-Scheme", "X-Original-Proto", "Front-End-Https":
		return true // schemes
	case "Client-Cert", "Client-Cert-Chain", "X-Client-Cert", "X-Arr-Clientcert":
		return true // certificates
	}
	for _, prefix := range [...]string{"X-Forwarded-", "X-Ssl-Client-", "Ssl-Client-", "X-Client-Cert-", "X-Amzn-Mtls-"} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

// isFraming has the fields that say where a message ends, and have two words.
func isFraming(name string) bool { return name == "Content-Length" || name == "Transfer-Encoding" }

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
