package server

import (
	"context"
	"net/http"

	"connectrpc.com/connect"

	"github.com/culvert-http/culvert"
)

// guarded has an RPC service beside the tunnel ask for the same credentials as
// the tunnel, before anything of the request's body is read. It answers a
// refusal in the protocol of the call. What runs ends with the credential.
func (s *Server) guarded(next http.Handler) http.Handler {
	if s.config.Authenticate == nil {
		return next
	}
	refusals := connect.NewErrorWriter()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		identity, err := s.config.Authenticate(r)
		if err != nil {
			w.Header().Set("WWW-Authenticate", "Bearer")
			_ = refusals.Write(w, r, connect.NewError(connect.CodeUnauthenticated, nil))
			return
		}
		ctx, release := whileValid(r.Context(), &identity)
		defer release()
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}

// whileValid returns a context that ends with the credential as well.
func whileValid(ctx context.Context, identity *culvert.Identity) (valid context.Context, release func()) {
	var end context.CancelFunc
	if identity.Expires.IsZero() {
		ctx, end = context.WithCancel(ctx)
	} else {
		ctx, end = context.WithDeadline(ctx, identity.Expires)
	}
	if identity.Revoked == nil {
		return ctx, end
	}
	stop := context.AfterFunc(identity.Revoked, end)
	return ctx, func() {
		stop()
		end()
	}
}
