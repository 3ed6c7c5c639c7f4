package culvert_test

import (
	"bufio"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/culvert-http/culvert"
)

// rawRequest sends bytes on a connection of their own, and returns the response
// and its body.
func rawRequest(tb testing.TB, addr, request string) (*http.Response, string) {
	tb.Helper()
	conn := dial(tb, addr)
	defer conn.Close()
	if _, err := io.WriteString(conn, request); err != nil {
		tb.Fatal(err)
	}
	method, _, _ := strings.Cut(request, " ")
	resp, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
	if err != nil {
		tb.Fatalf("%q: %v", request, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		tb.Fatalf("%q: read body: %v", request, err)
	}
	return resp, string(body)
}

// TestGatewayAnswersALargeHead checks that a head is answered as one however large
// it is, also where the frame that it makes is over a bound of its own.
func TestGatewayAnswersALargeHead(t *testing.T) {
	for _, method := range []culvert.Method{culvert.MethodSession, culvert.MethodExchange, culvert.MethodCall} {
		t.Run(method.String(), func(t *testing.T) {
			addr := startServer(t, culvert.NewGateway(newTunnelTo(t, http.NotFoundHandler(), culvert.WithMethod(method))))
			for _, size := range []int{100 << 10, 300 << 10, 700 << 10, 900 << 10} {
				req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+addr, nil)
				if err != nil {
					t.Fatal(err)
				}
				req.Header.Set("X-Large", strings.Repeat("x", size))
				resp, err := newFrontClient(t, addr, http1).Do(req)
				if err != nil {
					t.Fatal(err)
				}
				_ = resp.Body.Close()
				if resp.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
					t.Errorf("%d bytes are answered with %s", size, resp.Status)
				}
			}
		})
	}
}
