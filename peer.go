package culvert

import (
	"crypto/tls"
	"net/http"
)

// Peer is the client of the RPC that carries an exchange. It is what the server
// saw itself, not what somebody claims.
type Peer struct {
	// Addr is the address of the connection, "host:port".
	Addr string
	// TLS is the state of the connection, nil without TLS.
	TLS *tls.ConnectionState
	// Protocol is "connect", "grpc" or "grpcweb", as connect has it.
	Protocol string
	// Method is the RPC's method: "Call", "Upload", "Download", "Exchange" or
	// "Session".
	Method string
	// Identity is who calls, as far as somebody has asked: see
	// [WithAuthenticator] and [WithIdentity].
	Identity Identity
	// Header is the header section of the RPC, not of the tunnelled request. It
	// must not be changed. It is without Authorization if the handler has an
	// [Authenticator], which has read it.
	Header http.Header
}
