package server

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"strings"
)

const misdirected = "Host must name the loopback, as localhost does, or an authority that " +
	"the server was started with (--authority).\n"

type loopbackKey struct{}

// withListener leaves in the context of a listener's requests whether it is on
// the loopback.
func withListener(listener net.Listener) context.Context {
	return context.WithValue(context.Background(), loopbackKey{}, IsLoopback(listener.Addr()))
}

// IsLoopback reports whether addr is a TCP address that only this machine can
// reach.
func IsLoopback(addr net.Addr) bool {
	tcp, ok := addr.(*net.TCPAddr)
	return ok && tcp.IP.IsLoopback()
}

// checkHost refuses requests to a loopback listener that name another host. Such
// come from a web page, whose name was made to resolve to the loopback so that
// the browser takes this server for the page's own (DNS rebinding).
func (s *Server) checkHost(next http.Handler) http.Handler {
	if s.config.AnyHost {
		return next
	}
	authorities := make(map[string]bool, len(s.config.Authorities))
	for _, authority := range s.config.Authorities {
		authorities[normalHost(authority)] = true
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if loopback, _ := r.Context().Value(loopbackKey{}).(bool); loopback {
			host := hostname(r.Host)
			if !namesLoopback(host) && !authorities[host] && !authorities[normalHost(r.Host)] {
				writeLine(w, http.StatusMisdirectedRequest, misdirected)
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}

// namesLoopback reports whether a browser could reach nothing but the loopback
// under host, whatever a name server says: an address, or a name of
// [RFC 6761 § 6.3].
//
// [RFC 6761 § 6.3]: https://www.rfc-editor.org/rfc/rfc6761#section-6.3
func namesLoopback(host string) bool {
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.Unmap().IsLoopback()
}

// hostname returns the host of an authority without its port and the brackets of
// an IPv6 address, in the form that names are compared in.
func hostname(authority string) string {
	if host, _, err := net.SplitHostPort(authority); err == nil {
		return normalHost(host)
	}
	if inner, ok := strings.CutPrefix(authority, "["); ok {
		if inner, ok := strings.CutSuffix(inner, "]"); ok {
			return normalHost(inner)
		}
	}
	return normalHost(authority)
}

func normalHost(host string) string {
	return strings.TrimSuffix(strings.ToLower(host), ".")
}
