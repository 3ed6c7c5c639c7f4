package main

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"net/http"
	"strings"

	"connectrpc.com/connect"
	"golang.org/x/time/rate"
)

// Middleware around RPCs can refuse them as it would any request: clients make a
// code of the HTTP status. It is better to answer in their own protocol.
var rpcErrors = connect.NewErrorWriter()

var (
	errNoToken     = errors.New("the tunnel wants a bearer token")
	errTooManyRPCs = errors.New("too many RPCs")
)

// requireToken lets RPCs in that bear a token. That is all the protection which the
// tunnel itself has; it says nothing of who makes the requests in it.
func requireToken(token string) middleware {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			got, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
			if !ok || !equal(got, token) {
				_ = rpcErrors.Write(w, r, connect.NewError(connect.CodeUnauthenticated, errNoToken))
				return
			}
			next.ServeHTTP(w, r)
		})
	}
}

// limitRPCs refuses RPCs that are over a rate. A session is one RPC, whatever it
// carries.
func limitRPCs(limiter *rate.Limiter) middleware {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if !limiter.Allow() {
				_ = rpcErrors.Write(w, r, connect.NewError(connect.CodeResourceExhausted, errTooManyRPCs))
				return
			}
			next.ServeHTTP(w, r)
		})
	}
}

// equal compares secrets without telling by its time how much of them is right.
func equal(a, b string) bool {
	hashA, hashB := sha256.Sum256([]byte(a)), sha256.Sum256([]byte(b))
	return subtle.ConstantTimeCompare(hashA[:], hashB[:]) == 1
}
