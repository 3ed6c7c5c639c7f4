package clients

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// listApp is the application of the list.
func listApp() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/", app())
	mux.HandleFunc("/none/{status}", func(w http.ResponseWriter, r *http.Request) {
		status, err := strconv.Atoi(r.PathValue("status"))
		if err != nil {
			status = http.StatusNotFound
		}
		w.Header().Set("Etag", `"1"`)
		w.WriteHeader(status)
	})
	mux.HandleFunc("/redirect", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "/hello", http.StatusSeeOther)
	})
	mux.HandleFunc("/fields", func(w http.ResponseWriter, _ *http.Request) {
		header := w.Header()
		header["Set-Cookie"] = []string{"a=1; Path=/", "b=2; HttpOnly"}
		header["X-Empty"] = []string{""}
		header["X-Latin"] = []string{"caf\xe9"}
		header["Grpc-Status"] = []string{"13"} // the application's own, and none of the RPC's
		_, _ = io.WriteString(w, "<!doctype html>")
	})
	mux.HandleFunc("/events", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for i := range 3 {
			fmt.Fprintf(w, "id: %d\ndata: event %d\n\n", i, i)
			w.(http.Flusher).Flush()
		}
	})
	mux.HandleFunc("/long", func(w http.ResponseWriter, _ *http.Request) {
		for i := range 100_000 {
			fmt.Fprintf(w, "%06d\n", i)
		}
	})
	mux.HandleFunc("/abort", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	// Outside of the mux, which would tidy up the path.
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.RequestURI, "/see") {
			see(w, r)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

// see answers with the request.
func see(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/plain")
	fmt.Fprintf(w, "%s %s %s\nhost: %s, length: %d\n", r.Method, r.RequestURI, r.Proto, r.Host, r.ContentLength)
	for _, name := range slices.Sorted(maps.Keys(r.Header)) {
		fmt.Fprintf(w, "%s: %q\n", name, r.Header[name])
	}
	body, err := io.ReadAll(r.Body)
	fmt.Fprintf(w, "\n%q %v\n", body, err)
}
