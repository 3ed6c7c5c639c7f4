package culvert_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"

	"github.com/culvert-http/culvert"
)

// A gateway gives the tunnel to clients that know nothing of it.
func ExampleNewGateway() {
	app := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s %s", r.Method, r.URL.Path)
	})
	mux := http.NewServeMux()
	mux.Handle(culvert.NewHandler(app))
	server := httptest.NewServer(culvert.H2C(mux))
	defer server.Close()

	transport, err := culvert.NewTransport(server.URL)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer transport.Close()
	gateway := httptest.NewServer(culvert.NewGateway(transport))
	defer gateway.Close()

	resp, err := http.Get(gateway.URL + "/hello")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(resp.StatusCode, string(body))
	// Output: 200 GET /hello
}
