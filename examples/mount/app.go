package main

import (
	"fmt"
	"net/http"

	"github.com/culvert-http/culvert"
)

// newApp returns the application as it was before there was a tunnel. All that is
// new in it is that /whoami tells how the request has come.
func newApp() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /whoami", whoami)
	mux.HandleFunc("GET /panic", func(http.ResponseWriter, *http.Request) { panic("a fault of the application") })
	return mux
}

func whoami(w http.ResponseWriter, r *http.Request) {
	user, _, _ := r.BasicAuth()
	way := "directly"
	if peer, ok := culvert.PeerFromContext(r.Context()); ok {
		way = "by " + peer.Method
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	fmt.Fprintf(w, "%s, %s: request %s outside, %s inside\n",
		user, way, idFrom(r.Context(), outside), idFrom(r.Context(), inside))
}
