package main

import (
	"io"
	"net/http"
	"testing"
)

func testMaxRequests(t *testing.T) {
	app := newBoundApp()
	addr := startBoundGateway(t, app, "--max-requests=1")
	rt := newPlainClient(t).Transport
	held := hold(t, app, rt, addr)
	get(t, rt, addr, "/").wantStatus(t, http.StatusServiceUnavailable, "Retry-After", "Proxy-Status")
	app.letGo()
	await(t, "the held request", held).wantOK(t)
	until(t, "room for another", func() bool { return get(t, rt, addr, "/").status == http.StatusOK })
}

func testGatewayMaxWait(t *testing.T) {
	app := newBoundApp()
	addr := startBoundGateway(t, app, "--max-requests=1", "--max-wait="+short)
	rt := newPlainClient(t).Transport
	hold(t, app, rt, addr)
	get(t, rt, addr, "/").wantStatus(t, http.StatusServiceUnavailable, "Retry-After")

	app = newBoundApp()
	addr = startBoundGateway(t, app, "--max-requests=1", "--max-wait=1h")
	hold(t, app, rt, addr)
	const more = 8
	waited := make(chan answer, more)
	for range more {
		go func() { waited <- get(t, rt, addr, "/") }()
	}
	for range more - 1 { // no more wait than may run
		await(t, "one too many", waited).wantStatus(t, http.StatusServiceUnavailable, "Retry-After")
	}
	app.letGo()
	await(t, "the one that waited", waited).wantOK(t)
}

func testMaxHops(t *testing.T) {
	addr := startBoundGateway(t, newBoundApp(), "--max-hops=2")
	rt := newPlainClient(t).Transport
	once, twice := "1.1 culvert", "1.1 culvert, 1.1 culvert"
	ask(t, rt, http.MethodGet, "http://"+addr+"/", http.Header{"Via": {once}}, nil).wantOK(t)
	ask(t, rt, http.MethodGet, "http://"+addr+"/", http.Header{"Via": {twice}}, nil).wantStatus(t, http.StatusLoopDetected)
}

func testRatePerClient(t *testing.T) {
	addr := startBoundGateway(t, newBoundApp(), "--rate-per-client=0.001", "--trust=127.0.0.2/32")
	rt := newPlainClient(t).Transport
	get(t, rt, addr, "/").wantOK(t)
	get(t, rt, addr, "/").wantStatus(t, http.StatusTooManyRequests, "Retry-After", "Proxy-Status")
	// Who says that it is somebody else is not believed, unless it is a trusted proxy.
	for i, of := range []string{"192.0.2.1", "192.0.2.2"} {
		forwarded := http.Header{"X-Forwarded-For": {of}}
		ask(t, rt, http.MethodGet, "http://"+addr+"/", forwarded, nil).wantStatus(t, http.StatusTooManyRequests)
		proxy := &http.Transport{DisableKeepAlives: true, DialContext: dialFrom("127.0.0.2")}
		ask(t, proxy, http.MethodGet, "http://"+addr+"/", forwarded, nil).wantOK(t)
		got := ask(t, proxy, http.MethodGet, "http://"+addr+"/", forwarded, nil)
		got.wantStatus(t, http.StatusTooManyRequests)
		if t.Failed() {
			t.Fatalf("client %d", i)
		}
	}
}

func testBurstPerClient(t *testing.T) {
	addr := startBoundGateway(t, newBoundApp(), "--rate-per-client=0.001", "--burst-per-client=3")
	rt := newPlainClient(t).Transport
	for range 3 {
		get(t, rt, addr, "/").wantOK(t)
	}
	get(t, rt, addr, "/").wantStatus(t, http.StatusTooManyRequests, "Retry-After")
}

func testGatewayIdleTimeout(t *testing.T) {
	for _, version := range []string{"HTTP/1.1", "HTTP/2"} {
		t.Run(version, func(t *testing.T) {
			app := newBoundApp()
			defer app.letGo() // a server that does not read does not see its client go
			addr := startBoundGateway(t, app, "--idle-timeout="+short)
			for _, target := range []string{"/", "/hold"} { // the application reads, or does not
				stalled, stop := io.Pipe()
				go func() { _, _ = stop.Write([]byte("x")) }()
				got := ask(t, newVersionTransport(t, version), http.MethodPost, "http://"+addr+target, nil, stalled)
				stop.Close()
				got.wantStatus(t, http.StatusRequestTimeout, "Proxy-Status")
				if t.Failed() {
					return // the other would take as long
				}
			}
		})
	}
}

func testGatewayStallTimeout(t *testing.T) {
	for _, version := range []string{"HTTP/1.1", "HTTP/2"} {
		t.Run(version, func(t *testing.T) {
			app := newBoundApp()
			addr := startBoundGateway(t, app, "--stall-timeout="+short)
			r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+addr+"/endless", nil)
			must(t, err)
			resp, err := newVersionTransport(t, version).RoundTrip(r)
			must(t, err)
			defer resp.Body.Close()
			await(t, "the application's end", app.ended)
			if _, err := io.Copy(io.Discard, resp.Body); err == nil {
				t.Error("what was cut looks complete")
			}
		})
	}
}

func testGatewayMaxDuration(t *testing.T) {
	for _, version := range []string{"HTTP/1.1", "HTTP/2"} {
		t.Run(version, func(t *testing.T) {
			app := newBoundApp()
			addr := startBoundGateway(t, app, "--max-duration="+short)
			rt := newVersionTransport(t, version)
			get(t, rt, addr, "/hold").wantStatus(t, http.StatusGatewayTimeout, "Proxy-Status")
			if t.Failed() {
				return // the rest would take as long
			}
			stalled, stop := io.Pipe()
			defer stop.Close()
			ask(t, rt, http.MethodPost, "http://"+addr+"/", nil, stalled).wantStatus(t, http.StatusGatewayTimeout)
			got := get(t, rt, addr, "/endless")
			if got.status == http.StatusGatewayTimeout {
				return // the head has taken that long
			}
			if got.err == nil {
				t.Errorf("got %d, and a body that looks complete", got.status)
			}
			await(t, "the application's end", app.ended)
		})
	}
}

// newVersionTransport returns a transport of plain HTTP.
func newVersionTransport(tb testing.TB, version string) http.RoundTripper {
	tb.Helper()
	protocols := new(http.Protocols)
	protocols.SetHTTP1(version == "HTTP/1.1")
	protocols.SetUnencryptedHTTP2(version == "HTTP/2")
	transport := &http.Transport{Protocols: protocols}
	tb.Cleanup(transport.CloseIdleConnections)
	return transport
}
