package server

import (
	"context"
	"net/http"
	"sync/atomic"
	"time"
)

// resetSoon is how soon a request is taken back that counts as a reset. It is what
// Envoy calls premature.
const resetSoon = time.Second

// connRequests counts the requests of a connection of HTTP/2, and those of them
// that its client has taken back soon. A client that opens streams only to reset
// them has the server work for nothing [CVE-2023-44487].
type connRequests struct{ all, reset atomic.Int64 }

type requestsKey struct{}

// withRequests leaves in the context of a connection's requests where they are
// counted.
func withRequests(ctx context.Context) context.Context {
	return context.WithValue(ctx, requestsKey{}, &connRequests{})
}

// excessive reports whether there are more resets than most, and more than half of
// the requests were reset: many clients of one proxy may have a change of mind.
func (c *connRequests) excessive(most int) bool {
	reset := c.reset.Load()
	return reset > int64(most) && 2*reset > c.all.Load()
}

// checkResets refuses the requests of connections with too many resets, which are
// closed when what they carry has finished.
func (s *Server) checkResets(next http.Handler) http.Handler {
	most := s.config.MaxResetsPerConn
	if most == 0 {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests, ok := r.Context().Value(requestsKey{}).(*connRequests)
		if !ok || r.ProtoMajor < 2 {
			next.ServeHTTP(w, r)
			return
		}
		requests.all.Add(1)
		if requests.excessive(most) {
			refuse(w, r, errTooManyResets)
			return
		}
		began := time.Now()
		defer func() { // also where a response is cut by a panic
			if r.Context().Err() == context.Canceled && time.Since(began) < resetSoon {
				requests.reset.Add(1)
			}
		}()
		next.ServeHTTP(w, r)
	})
}
