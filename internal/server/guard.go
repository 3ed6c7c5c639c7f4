package server

import (
	"net/http"

	"connectrpc.com/connect"
)

// guarded has an RPC service beside the tunnel ask for the same credentials as
// the tunnel, before anything of the request's body is read. It answers a
// refusal in the protocol of the call.
func (s *Server) guarded(next http.Handler) http.Handler {
	if s.config.Authenticate == nil {
		return next
	}
	refusals := connect.NewErrorWriter()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := s.config.Authenticate(r); err != nil {
			w.Header().Set("WWW-Authenticate", "Bearer")
			_ = refusals.Write(w, r, connect.NewError(connect.CodeUnauthenticated, nil))
			return
		}
		next.ServeHTTP(w, r)
	})
}
