package culvert_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing/fstest"

	"github.com/culvert-http/culvert"
)

// call is what curl does: one exchange in one request of HTTP/1.1.
func call(server *httptest.Server, json string) string {
	response, err := http.Post(server.URL+"/culvert.v1.HTTPService/Call", "application/json", strings.NewReader(json))
	if err != nil {
		return err.Error()
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return err.Error()
	}
	return string(body)
}

// A server that exists gains the tunnel by one line, beside its other routes.
// Whoever owns the http.Server lets it speak HTTP/2 without TLS for gRPC clients.
func ExampleNewHandler() {
	app := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header()["Date"] = nil
		fmt.Fprintf(w, "hello from %s", r.URL.Path)
	})

	mux := http.NewServeMux()
	mux.HandleFunc("/healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.Handle(culvert.NewHandler(app))

	server := httptest.NewUnstartedServer(mux)
	server.Config.Protocols = new(http.Protocols)
	server.Config.Protocols.SetHTTP1(true)
	server.Config.Protocols.SetUnencryptedHTTP2(true)
	server.Start()
	defer server.Close()

	fmt.Println(strings.Contains(call(server, `{"path": "/a"}`), `"text":"hello from /a"`))
	// Output: true
}

// Where only the handler is yours, and somebody else's server calls it, H2C lets
// gRPC clients in.
func ExampleH2C() {
	app := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "hello") })
	mux := http.NewServeMux()
	mux.Handle(culvert.NewHandler(app))

	server := httptest.NewServer(culvert.H2C(mux))
	defer server.Close()

	var prior http.Protocols
	prior.SetUnencryptedHTTP2(true)
	client := &http.Client{Transport: &http.Transport{Protocols: &prior}}
	defer client.CloseIdleConnections()
	response, err := client.Post(server.URL+"/culvert.v1.HTTPService/Call", "application/json", strings.NewReader(`{}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer response.Body.Close()
	fmt.Println(response.Proto, response.Status)
	// Output: HTTP/2.0 200 OK
}

// The inner handler can be a mux of its own: what is in it is reachable through
// the tunnel only.
func ExampleNewHandler_mux() {
	inner := http.NewServeMux()
	inner.HandleFunc("GET /users/{id}", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "user %s", r.PathValue("id"))
	})
	outer := http.NewServeMux()
	outer.Handle(culvert.NewHandler(inner))
	server := httptest.NewServer(outer)
	defer server.Close()

	fmt.Println(strings.Contains(call(server, `{"path": "/users/7"}`), "user 7"))
	response, err := http.Get(server.URL + "/users/7")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer response.Body.Close()
	fmt.Println(response.StatusCode)
	// Output:
	// true
	// 404
}

// A file server works as it does without the tunnel, ranges included.
func ExampleNewHandler_fileServer() {
	files := fstest.MapFS{"notes.txt": {Data: []byte("one two three")}}
	mux := http.NewServeMux()
	mux.Handle(culvert.NewHandler(http.FileServerFS(files)))
	server := httptest.NewServer(mux)
	defer server.Close()

	answer := call(server, `{"path": "/notes.txt", "headers": [{"name": "range", "value": "bytes=4-6"}]}`)
	fmt.Println(strings.Contains(answer, `"status":206`), strings.Contains(answer, `"text":"two"`))
	// Output: true true
}
