package culvert_test

import (
	"bufio"
	"io"
	"net/http"
	"strings"
	"testing"
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
