package main

import "net"

// upstream is a server of the runner's.
type upstream struct {
	addr  string // host:port
	http2 bool   // h2c, else HTTP/1.1
}

// target is the upstream as culvert serve names it.
func (u upstream) target() string {
	if u.http2 {
		return "h2c://" + u.addr
	}
	return "http://" + u.addr
}

// passage is what stands between the runner's clients and its servers: the
// tunnel, or what it is compared with.
type passage interface {
	// address is where it takes HTTP/1.1 and HTTP/2, with TLS if it was opened with
	// credentials, else without.
	address() *net.TCPAddr
	// stop ends it, and reports what it has carried and what went wrong.
	stop() *report
}

// openPassage opens a passage to a server. Without credentials it is plain text.
func (s *subject) openPassage(to upstream, creds *credentials) (passage, error) {
	if s.Through == throughReverseProxy {
		return openReverseProxy(to, creds)
	}
	return openTunnel(s, to, creds)
}

// Values of --through.
const (
	throughTunnel       = "tunnel"
	throughReverseProxy = "reverseproxy"
)
