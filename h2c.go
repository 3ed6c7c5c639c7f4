package culvert

import (
	"net/http"
	"strings"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/h2c"
)

// Windows of HTTP/2, in bytes: 4 MiB a stream for throughput over long ways, and
// many times that a connection, so that a few stalled streams do not stall all.
const (
	streamWindow = 4 << 20
	connWindow   = 64 << 20
)

// H2C has h accept HTTP/2 without TLS, by prior knowledge, beside HTTP/1.1. It is
// for where the handler of a net/http server is yours and the server is not; it
// must be outermost. Who owns the [net/http.Server] sets its Protocols instead:
//
//	server.Protocols = new(http.Protocols)
//	server.Protocols.SetHTTP1(true)
//	server.Protocols.SetUnencryptedHTTP2(true)
//
// The connections of H2C are unknown to the server: its Shutdown does not wait
// for them and its Close does not close them. Call [Handler.Shutdown] first.
// A request to upgrade to h2c is served as HTTP/1.1.
func H2C(h http.Handler) http.Handler {
	withHTTP2 := h2c.NewHandler(h, &http2.Server{
		MaxConcurrentStreams:         DefaultMaxExchangesPerConn,
		MaxUploadBufferPerStream:     streamWindow,
		MaxUploadBufferPerConnection: connWindow,
		ReadIdleTimeout:              30 * time.Second,
		PingTimeout:                  15 * time.Second,
		IdleTimeout:                  5 * time.Minute,
		WriteByteTimeout:             DefaultStallTimeout,
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if upgradesToH2C(r) {
			r = r.Clone(r.Context())
			for _, name := range []string{"Connection", "Upgrade", "Http2-Settings"} {
				r.Header.Del(name)
			}
		}
		withHTTP2.ServeHTTP(w, r)
	})
}

// upgradesToH2C reports whether a request asks for what RFC 9113 has taken away,
// and what would buffer its body as a whole.
func upgradesToH2C(r *http.Request) bool {
	for _, value := range r.Header["Upgrade"] {
		for protocol := range strings.SplitSeq(value, ",") {
			if strings.EqualFold(strings.TrimSpace(protocol), "h2c") {
				return true
			}
		}
	}
	return false
}
