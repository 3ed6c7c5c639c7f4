package bridge

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/culvert-http/culvert/internal/timeout"
)

// Server gives tunnelled requests to an http.Handler. Its fields must not change
// while it serves.
type Server struct {
	// Handler is the inner handler.
	Handler http.Handler
	// Limits bounds the head and the trailer section of requests.
	Limits Limits
	// MaxBody bounds the bodies that come or go in one message, in bytes.
	MaxBody int
	// HeadTimeout bounds the time until the head is there; 0 means no bound.
	HeadTimeout time.Duration
	// IdleTimeout bounds the time in which nothing moves, in either direction,
	// while the handler waits for the request; 0 means no bound.
	IdleTimeout time.Duration
	// Upgrades are the protocols that a request may upgrade to.
	Upgrades []string
	// Logger gets panics of the handler and its misuse of the ResponseWriter.
	Logger *slog.Logger

	heads, drains, flushes timeout.Queue[exchange]
}

// Result is what is known of an exchange at its end.
type Result struct {
	// Request is what the handler got, nil if it was never started.
	Request *http.Request
	// Status is the final status, 0 if none was sent.
	Status int
	// RequestBytes and ResponseBytes count the bodies as far as the handler read
	// and the stream took them.
	RequestBytes, ResponseBytes int64
	// Err is how the RPC ends, nil for OK.
	Err *Error
}

// Serve reads one request from stream, runs the handler and writes its response.
// It returns when the exchange has ended and nothing uses the stream any more.
// The context of the inner request is derived from ctx.
func (s *Server) Serve(ctx context.Context, stream ServerStream, origin *Origin) Result {
	e := &exchange{server: s, origin: origin, stream: stream}
	err := e.run(ctx)
	return Result{
		Request:       e.request,
		Status:        e.sentStatus,
		RequestBytes:  e.body.read.Load(),
		ResponseBytes: e.sentBytes,
		Err:           err,
	}
}
