package culvert

import (
	"net"
	"net/http"
	"net/url"
	"strings"

	"golang.org/x/net/http/httpguts"
)

// gatewayTarget is what a request asks for, apart from the method.
type gatewayTarget struct {
	authority string // "" only where HTTP/1.0 has no Host
	path      string // origin form or "*", exactly as sent
}

// parseTarget takes the target from the request line, for the URL that net/http
// makes of it does not keep every byte. The absolute form becomes authority and
// path; its scheme is not believed. It reports false for what is neither.
func parseTarget(r *http.Request) (gatewayTarget, bool) {
	target := gatewayTarget{authority: r.Host, path: r.RequestURI}
	switch {
	case strings.ContainsFunc(target.path, func(c rune) bool { return c <= ' ' || c == 0x7f }):
		return target, false // HTTP/2 has no request line that this would break
	case strings.HasPrefix(target.path, "/"):
	case target.path == "*":
		if r.Method != http.MethodOptions {
			return target, false
		}
	case r.ProtoMajor == 1:
		var ok bool
		if target.path, ok = absolutePath(r.RequestURI, r.Method); !ok || r.URL.User != nil {
			return target, false
		}
		target.authority = r.URL.Host
	default: // HTTP/2 has the authority apart from the path
		return target, false
	}
	return target, validAuthority(target.authority)
}

// absolutePath cuts the path out of a target in absolute form.
func absolutePath(target, method string) (string, bool) {
	scheme, rest, ok := strings.Cut(target, "://")
	if !ok || !strings.EqualFold(scheme, "http") && !strings.EqualFold(scheme, "https") {
		return "", false
	}
	start := strings.IndexAny(rest, "/?")
	switch {
	case start == 0, strings.Contains(rest, "#"):
		return "", false // no authority, or a fragment, which is the client's own matter
	case start < 0 && method == http.MethodOptions:
		return "*", true // RFC 9112 § 3.2.4
	case start < 0:
		return "/", true
	case rest[start] == '?':
		return "/" + rest[start:], true
	default:
		return rest[start:], true
	}
}

// validAuthority refuses what is more than a host and a port. User information
// belongs to no request [RFC 9110 § 4.2.4].
func validAuthority(authority string) bool {
	return httpguts.ValidHostHeader(authority) && !strings.ContainsAny(authority, "@/?#\\ ")
}

// url is the target for RoundTrippers that know nothing of Culvert. It is
// exact wherever net/url lets it be.
func (t gatewayTarget) url(scheme string, r *http.Request) *url.URL {
	target := &url.URL{
		Scheme:     scheme,
		Host:       t.authority,
		Path:       r.URL.Path,
		RawPath:    r.URL.RawPath,
		RawQuery:   r.URL.RawQuery,
		ForceQuery: r.URL.ForceQuery,
	}
	if t.path == "*" {
		target.Path, target.RawPath = "*", ""
	}
	if t.authority == "" {
		target.Host = localAddress(r) // no request goes without
	}
	if target.RequestURI() != t.path && !strings.HasPrefix(t.path, "//") { // that would mean a host
		target.Opaque, target.RawQuery, target.ForceQuery = t.path, "", false
	}
	return target
}

// localAddress is the address that a request came to.
func localAddress(r *http.Request) string {
	if addr, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr); ok && addr.Network() == "tcp" {
		return addr.String()
	}
	return "localhost"
}
