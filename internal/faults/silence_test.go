package faults

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/Shopify/toxiproxy/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"github.com/culvert-http/culvert"
)

// Both ends ask each other soon whether they are there, and leave time for the
// answer where the machine is busy.
const (
	pingInterval = 250 * time.Millisecond
	pingTimeout  = 3 * time.Second
)

func newProxy(tb testing.TB, target string) *toxiproxy.Proxy {
	tb.Helper()
	api := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(prometheus.NewRegistry()), zerolog.Nop())
	proxy := toxiproxy.NewProxy(api, "faults", "127.0.0.1:0", target)
	if err := proxy.Start(); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(proxy.Stop)
	return proxy
}

func addToxic(tb testing.TB, proxy *toxiproxy.Proxy, json string) {
	tb.Helper()
	if _, err := proxy.Toxics.AddToxicJson(strings.NewReader(json)); err != nil {
		tb.Fatal(err)
	}
}

// A network that loses everything and closes nothing is noticed by both ends.
func TestBlackHole(t *testing.T) {
	holdResources(t)
	began, gone := make(chan struct{}, 10), make(chan error, 10)
	s := newServer(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).Flush()
		began <- struct{}{}
		_, err := io.Copy(io.Discard, r.Body)
		if err == nil {
			err = checkFailure(nil, true)
		} else {
			<-r.Context().Done()
			err = nil
		}
		gone <- err
	}), "")
	proxy := newProxy(t, s.address)
	ended := make(chan error, 10)
	for _, w := range duplexWays() {
		transport := newTransport(t, proxy.Listen, w.options(culvert.WithPing(pingInterval, pingTimeout))...)
		body, stop := io.Pipe()
		t.Cleanup(func() { _ = stop.Close() })
		resp := start(t, transport, "/", body)
		await(t, "handler", began)
		go func() {
			_, err := io.Copy(io.Discard, resp.Body)
			ended <- checkFailure(err, true)
		}()
	}
	other := bystand(t, newServer(t, &echoApp{}, ""))
	addToxic(t, proxy, `{"type":"timeout","stream":"upstream","attributes":{"timeout":0}}`)
	addToxic(t, proxy, `{"type":"timeout","stream":"downstream","attributes":{"timeout":0}}`)
	for range duplexWays() {
		if err := await(t, "end at the client", ended); err != nil {
			t.Error(err)
		}
		if err := await(t, "end at the server", gone); err != nil {
			t.Error(err)
		}
	}
	other()
}

// A server that comes back is found again by transports that knew it before.
func TestServerRestarts(t *testing.T) {
	holdResources(t)
	began := make(chan struct{}, 10)
	app := &echoApp{}
	mux := http.NewServeMux()
	mux.Handle("/", app)
	mux.HandleFunc("/wait", func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).Flush()
		began <- struct{}{}
		<-r.Context().Done()
	})
	s := newServer(t, mux, "")
	transports := make([]*culvert.Transport, 0, len(duplexWays()))
	ended := make(chan error, 10)
	for _, w := range duplexWays() {
		transport := newTransport(t, s.address, w.options()...)
		transports = append(transports, transport)
		resp := start(t, transport, "/wait", nil)
		await(t, "handler", began)
		go func() {
			_, err := io.Copy(io.Discard, resp.Body)
			ended <- checkFailure(err, true)
		}()
	}
	s.close()
	body := payload(5000)
	for range transports {
		if err := await(t, "end of an exchange", ended); err != nil {
			t.Error(err)
		}
	}
	for i, transport := range transports { // nobody is there
		ofBody, err, _ := echo(newEchoRequest(t.Context(), body), transport, body)
		if err := checkFailure(err, ofBody); err != nil {
			t.Errorf("%s: %v", duplexWays()[i], err)
		}
	}
	newServer(t, mux, s.address)
	for i, transport := range transports {
		for range 5 {
			if _, err, wrong := echo(newEchoRequest(t.Context(), body), transport, body); err != nil || wrong != nil {
				t.Errorf("%s, after the restart: %v, %v", duplexWays()[i], err, wrong)
			}
		}
	}
	app.check(t)
}
