package main

import (
	"fmt"
	"io"
	"net/http"
)

// newApp returns the application behind the tunnel: a page, a form, and a stream of
// events.
func newApp() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", page)
	mux.HandleFunc("POST /greet", greet)
	mux.HandleFunc("GET /events", events)
	return mux
}

func page(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = io.WriteString(w, "<!doctype html><title>demo</title><form method=post action=/greet><input name=name></form>\n")
}

func greet(w http.ResponseWriter, r *http.Request) {
	name := r.PostFormValue("name")
	if name == "" {
		http.Error(w, "who are you?", http.StatusUnprocessableEntity)
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	fmt.Fprintf(w, "hello, %s\n", name)
}

// events sends three events, each as soon as it is there.
func events(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	control := http.NewResponseController(w)
	for i := range 3 {
		fmt.Fprintf(w, "data: %d\n\n", i+1)
		if control.Flush() != nil {
			return
		}
	}
}
