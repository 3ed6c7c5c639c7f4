package server

import (
	"net/http"

	"github.com/culvert-http/culvert/internal/connwatch"
)

// closeInDoubt closes the connection of a request whose end others may see
// elsewhere: what follows could be a part of it. The tunnel does so by itself, for
// servers that are not this one; here it is done for what stands beside it.
func closeInDoubt(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if connwatch.InDoubt(r) {
			w.Header().Set("Connection", "close")
		}
		next.ServeHTTP(w, r)
	})
}
