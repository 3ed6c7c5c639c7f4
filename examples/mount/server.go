package main

import (
	"log/slog"
	"net/http"
	"time"

	"golang.org/x/time/rate"

	"github.com/culvert-http/culvert"
)

// config is what differs from one installation to the next.
type config struct {
	log *slog.Logger
	// token is what an RPC has to bear; users have the passwords of requests.
	token string
	users map[string]string
	// rpcs limits the RPCs of the tunnel, requests those to the application,
	// whether they come directly or in an RPC.
	rpcs, requests *rate.Limiter
}

// newHandler returns everything that the server serves. Without a tunnel it was
//
//	mux.Handle("/", app)
//
// and what the tunnel needs is one line more:
//
//	mux.Handle(culvert.NewHandler(app))
//
// It has become two here, to put middleware around the RPCs alone.
func newHandler(c config) http.Handler {
	app := chain(newApp(), requestID(inside), accessLog(inside, c.log), recoverPanics(inside, c.log),
		limitRequests(c.requests), requireUser(c.users))

	mux := http.NewServeMux()
	mux.Handle("/", app)

	pattern, tunnel := culvert.NewHandler(app)
	mux.Handle(pattern, chain(tunnel, requireToken(c.token), limitRPCs(c.rpcs)))

	return chain(mux, requestID(outside), accessLog(outside, c.log), recoverPanics(outside, c.log))
}

// newServer returns a server that takes gRPC as well: HTTP/2 without TLS, with
// windows in which one upload that nobody reads does not hold up its connection.
func newServer(handler http.Handler) *http.Server {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	return &http.Server{
		Handler:           handler,
		Protocols:         protocols,
		HTTP2:             &http.HTTP2Config{MaxReceiveBufferPerStream: 4 << 20, MaxReceiveBufferPerConnection: 64 << 20},
		ReadHeaderTimeout: 10 * time.Second,
	}
}
