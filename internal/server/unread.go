package server

import (
	"net/http"
	"time"
)

// boundUnread bounds the time of bodies that next does not read, as if they were of
// the header. On HTTP/1.1 net/http reads them before it writes the answer, however
// long that takes.
func (s *Server) boundUnread(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor == 1 && r.Body != http.NoBody {
			_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(s.config.HeaderTimeout))
		}
		next.ServeHTTP(w, r)
	})
}

// read is for handlers that read bodies within bounds of their own.
func read(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor == 1 && r.Body != http.NoBody {
			_ = http.NewResponseController(w).SetReadDeadline(time.Time{})
		}
		next.ServeHTTP(w, r)
	})
}
