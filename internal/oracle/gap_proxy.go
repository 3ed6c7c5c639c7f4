package oracle

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// viaRules are the gaps of all rows where a gateway, a proxy or both stand in the
// way: that they say so.
func viaRules() []Gap {
	return []Gap{{
		Aspect: "seen field Via", Values: viaValues,
		When:   func(via Via) bool { return via.Route.Gateway || via.Route.Proxy },
		Reason: "gateways and proxies say that they stand there (RFC 9110, section 7.6.3)",
	}}
}

// viaValues returns the Via of a request. A gateway adds a line, a proxy makes one
// line of all.
func viaValues(via Via) []string {
	values := slices.Clone(via.Row.Request.Header["Via"])
	if via.Route.Gateway {
		values = append(values, map[Version]string{HTTP10: "1.0", HTTP11: "1.1", HTTP2: "2"}[via.Version]+" culvert")
	}
	if via.Route.Proxy {
		number := strings.TrimPrefix(via.requestVersion().String(), "HTTP/")
		values = []string{strings.Join(append(values, number+" "+proxyVia), ", ")}
	}
	return values
}

// proxyRules are the gaps of all rows where the tunnel ends in a proxy.
func proxyRules() []Gap {
	proxied := func(when func(Via) bool) func(Via) bool {
		return func(via Via) bool { return via.Route.Proxy && when(via) }
	}
	always := func(Via) bool { return true }
	host := func(via Via) string { return via.Row.Request.filled().Host }
	oldLibrary := func(via Via) bool { return via.Version == HTTP2 && via.requestVersion() == HTTP11 }
	oldLibraryGets := func(status int) func(Via) bool {
		return func(via Via) bool { return oldLibrary(via) && via.Row.Status == status }
	}
	const (
		forwarded = "a proxy says whom it acts for: the peer of the tunnel, and what was asked of it (RFC 7239)"
		length    = "a message that is the whole request shows how long the body is (protocol, 8.7), and the proxy says so"
		empty     = "a request without a body whose method has one says so (RFC 9110, section 8.6)"
		older     = "a library's request is one of HTTP/1.1: no length beside trailers, no trailers of a 204, no description of a 304"
	)
	return []Gap{
		{Aspect: "seen field X-Forwarded-For", When: proxied(always), Reason: forwarded, Values: sent("127.0.0.1")},
		{Aspect: "seen field X-Forwarded-Proto", When: proxied(always), Reason: forwarded, Values: sent("http")},
		{Aspect: "seen field X-Forwarded-Host", When: proxied(always), Reason: forwarded, Values: func(via Via) []string {
			return []string{host(via)}
		}},
		{Aspect: "seen field Forwarded", When: proxied(always), Reason: forwarded, Values: func(via Via) []string {
			return []string{fmt.Sprintf("for=127.0.0.1;host=%q;proto=http", host(via))}
		}},
		{Aspect: "seen field Content-Length", When: proxied(lengthShown), Reason: length, Values: func(via Via) []string {
			return []string{strconv.Itoa(via.Row.Request.Size())}
		}},
		{Aspect: "seen field Content-Length", When: proxied(wantsLength), Reason: empty, Values: sent("0")},
		{Aspect: "field Content-Length", When: proxied(oldLibrary), Reason: older, Values: sent()},
		{Aspect: "field Content-Type", When: proxied(oldLibraryGets(http.StatusNotModified)), Reason: older, Values: sent()},
		{Aspect: "trailer X-Sum", When: proxied(oldLibraryGets(http.StatusNoContent)), Reason: older, Values: sent()},
	}
}

// wantsLength reports whether the row's request has no body although its method
// gives one a meaning.
func wantsLength(via Via) bool {
	r := &via.Row.Request
	return r.Body == nil && slices.Contains([]string{http.MethodPost, http.MethodPut, http.MethodPatch}, r.Method)
}
