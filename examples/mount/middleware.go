package main

import (
	"context"
	"crypto/rand"
	"log/slog"
	"net/http"
	"slices"

	"golang.org/x/time/rate"
)

// place says where a middleware stands: outside of the tunnel, where requests are
// RPCs, or inside of it, where they are those of the exchanges.
type place string

const (
	outside place = "outside"
	inside  place = "inside"
)

type middleware = func(http.Handler) http.Handler

// chain puts middleware around a handler; the first is the outermost.
func chain(handler http.Handler, around ...middleware) http.Handler {
	for _, wrap := range slices.Backward(around) {
		handler = wrap(handler)
	}
	return handler
}

type idKey struct{ at place }

// requestID gives every request an id, which the response tells.
func requestID(at place) middleware {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			id := rand.Text()
			w.Header().Set("X-Request-Id", id)
			next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), idKey{at}, id)))
		})
	}
}

// idFrom returns the id that the request was given at a place, "" if it was not
// there. What is in the context of an RPC is in those of its exchanges too.
func idFrom(ctx context.Context, at place) string {
	id, _ := ctx.Value(idKey{at}).(string)
	return id
}

// accessLog logs every request at its end.
func accessLog(at place, log *slog.Logger) middleware {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			recorder := &statusRecorder{ResponseWriter: w, status: http.StatusOK}
			method, path := r.Method, r.URL.Path
			defer func() {
				log.InfoContext(r.Context(), "request", "at", at, "id", idFrom(r.Context(), at),
					"method", method, "path", path, "status", recorder.status)
			}()
			next.ServeHTTP(recorder, r)
		})
	}
}

// statusRecorder is a ResponseWriter that remembers the final status. Around RPCs
// it has to be an http.Flusher itself: to have Unwrap is not enough for connect.
type statusRecorder struct {
	http.ResponseWriter

	status int
}

func (s *statusRecorder) WriteHeader(status int) {
	if status >= http.StatusOK || status == http.StatusSwitchingProtocols {
		s.status = status
	}
	s.ResponseWriter.WriteHeader(status)
}

func (s *statusRecorder) Flush()                      { _ = http.NewResponseController(s.ResponseWriter).Flush() }
func (s *statusRecorder) Unwrap() http.ResponseWriter { return s.ResponseWriter }

// recoverPanics answers a request with 500 where its handler panics before it has
// answered.
func recoverPanics(at place, log *slog.Logger) middleware {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			defer func() {
				switch fault := recover(); {
				case fault == nil:
				case fault == http.ErrAbortHandler: // a request to cut the response
					panic(fault)
				default:
					log.ErrorContext(r.Context(), "panic", "at", at, "fault", fault)
					http.Error(w, "internal error", http.StatusInternalServerError)
				}
			}()
			next.ServeHTTP(w, r)
		})
	}
}

// limitRequests refuses requests that are over a rate with 429.
func limitRequests(limiter *rate.Limiter) middleware {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if !limiter.Allow() {
				http.Error(w, "too many requests", http.StatusTooManyRequests)
				return
			}
			next.ServeHTTP(w, r)
		})
	}
}

// requireUser lets requests in that authenticate as one of the users.
func requireUser(passwords map[string]string) middleware {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			name, password, _ := r.BasicAuth()
			if want, ok := passwords[name]; !ok || !equal(password, want) {
				w.Header().Set("WWW-Authenticate", `Basic realm="app"`)
				http.Error(w, "who are you?", http.StatusUnauthorized)
				return
			}
			next.ServeHTTP(w, r)
		})
	}
}
