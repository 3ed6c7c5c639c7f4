package culvert_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"

	connectcors "connectrpc.com/cors"
	"github.com/rs/cors"

	"github.com/culvert-http/culvert"
)

// Web pages of other origins may use a tunnel where the server says so, as with
// any RPC: put the middleware for it around the mux, name the origins, and let it
// know the fields of the protocols. What the application behind the tunnel says of
// origins is in the response that it answers with, and means nothing to a browser.
func ExampleNewHandler_cors() {
	mux := http.NewServeMux()
	mux.Handle(culvert.NewHandler(http.NotFoundHandler()))
	pages := cors.New(cors.Options{
		AllowedOrigins: []string{"https://page.example"},
		AllowedMethods: []string{http.MethodPost},
		// Add Authorization, if pages authenticate to the mount by it.
		AllowedHeaders: connectcors.AllowedHeaders(),
		ExposedHeaders: connectcors.ExposedHeaders(),
		MaxAge:         7200,
	})
	server := httptest.NewServer(pages.Handler(mux))
	defer server.Close()

	for _, origin := range []string{"https://page.example", "https://evil.example"} {
		preflight, err := http.NewRequest(http.MethodOptions, server.URL+"/culvert.v1.HTTPService/Call", nil)
		if err != nil {
			fmt.Println(err)
			return
		}
		preflight.Header.Set("Origin", origin)
		preflight.Header.Set("Access-Control-Request-Method", http.MethodPost)
		preflight.Header.Set("Access-Control-Request-Headers", "connect-protocol-version,content-type")
		response, err := http.DefaultClient.Do(preflight)
		if err != nil {
			fmt.Println(err)
			return
		}
		response.Body.Close()
		fmt.Printf("%s: %q\n", origin, response.Header.Get("Access-Control-Allow-Origin"))
	}
	// Output:
	// https://page.example: "https://page.example"
	// https://evil.example: ""
}
