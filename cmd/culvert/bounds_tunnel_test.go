package main

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"github.com/culvert-http/culvert"
)

// tunnelClient is a command that is a client of the tunnel.
type tunnelClient struct {
	// get makes a request to a server, and returns what the command makes of it: the
	// status of a gateway, or the exit status of a call.
	get       func(tb testing.TB, url, target string, flags ...string) int
	isGateway bool
}

var (
	boundGateway = tunnelClient{get: getThroughGateway, isGateway: true}
	boundCall    = tunnelClient{get: getByCall}
)

// expect makes a request, of which there is one outcome for a gateway and one for
// a call.
func (c tunnelClient) expect(tb testing.TB, ofGateway, ofCall int, url, target string, flags ...string) {
	tb.Helper()
	want := ofCall
	if c.isGateway {
		want = ofGateway
	}
	if got := c.get(tb, url, target, flags...); got != want {
		tb.Errorf("%s with %v: got %d, want %d", target, flags, got, want)
	}
}

func getThroughGateway(tb testing.TB, url, target string, flags ...string) int {
	tb.Helper()
	addr := startGatewayTo(tb, url, flags...)
	return get(tb, newPlainClient(tb).Transport, addr, target).status
}

func getByCall(tb testing.TB, url, target string, flags ...string) int {
	tb.Helper()
	status, _ := runCall(append([]string{url, target, "-s", "-o", tb.TempDir() + "/out"}, flags...)...)
	return status
}

// A server that takes connections and never says anything is given up.
func testConnectTimeout(t *testing.T, client tunnelClient) {
	silent, err := net.Listen("tcp", "127.0.0.1:0") // the kernel takes its connections
	must(t, err)
	defer silent.Close()
	for _, scheme := range []string{"http", "https"} {
		client.expect(t, http.StatusBadGateway, exitTimeout, scheme+"://"+silent.Addr().String(), "/", "--connect-timeout="+short)
	}
}

func testMaxTries(t *testing.T, client tunnelClient) {
	_, drained := culvert.NewHandler(newBoundApp())
	must(t, drained.Shutdown(context.Background()))
	var tries atomic.Int32
	refuser := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		tries.Add(1)
		drained.ServeHTTP(w, r)
	}))
	refuser.Config.Protocols = new(http.Protocols)
	refuser.Config.Protocols.SetUnencryptedHTTP2(true)
	refuser.Start()
	defer refuser.Close()
	client.expect(t, http.StatusServiceUnavailable, exitReceive, refuser.URL, "/", "--max-tries=3", "--method=exchange")
	if n := tries.Load(); n != 3 {
		t.Errorf("the request was sent %d times", n)
	}
}

func testMaxResponseHeadBytes(t *testing.T, client tunnelClient) {
	url := "http://" + startBoundServe(t, newBoundApp())
	client.expect(t, http.StatusOK, 0, url, "/field?n=100", "--max-response-head-bytes=1KiB")
	client.expect(t, http.StatusBadGateway, exitTooLarge, url, "/field?n=2000", "--max-response-head-bytes=1KiB")
}

func testMaxResponseFields(t *testing.T, client tunnelClient) {
	url := "http://" + startBoundServe(t, newBoundApp())
	client.expect(t, http.StatusOK, 0, url, "/fields?n=2", "--max-response-fields=10")
	client.expect(t, http.StatusBadGateway, exitTooLarge, url, "/fields?n=20", "--max-response-fields=10")
}

func testMaxBufferedBytes(t *testing.T, client tunnelClient) {
	url := "http://" + startBoundServe(t, newBoundApp())
	client.expect(t, http.StatusOK, 0, url, "/size?n=1000", "--max-buffered-bytes=1KiB", "--method=call")
	// What a message may have beside its body is two MiB more than that.
	client.expect(t, http.StatusBadGateway, exitTooLarge, url, "/size?n=3000000", "--max-buffered-bytes=1KiB", "--method=call")
}
