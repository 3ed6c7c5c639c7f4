package upstream

import (
	"bytes"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"sync/atomic"
	"testing"
)

// BenchmarkProxy puts the proxy beside httputil.ReverseProxy, doing the same on
// the same transports. The client speaks HTTP/1.1.
func BenchmarkProxy(b *testing.B) {
	for _, kind := range []string{"http", "h2c"} {
		target, options := startUpstream(b, kind, http.HandlerFunc(benchHandler))
		proxy, err := New(target, options)
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(proxy.Close)
		for _, work := range []struct {
			name     string
			up, down int
		}{{"small", 0, 100}, {"up", 1 << 20, 0}, {"down", 0, 1 << 20}} {
			b.Run(kind+"/"+work.name+"/proxy", func(b *testing.B) { benchmark(b, proxy, work.up, work.down) })
			b.Run(kind+"/"+work.name+"/reverseproxy", func(b *testing.B) {
				benchmark(b, newReverseProxy(b, kind, target), work.up, work.down)
			})
		}
	}
}

func benchHandler(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	if r.URL.Path == "/large" {
		_, _ = w.Write(make([]byte, 1<<20))
		return
	}
	_, _ = w.Write(make([]byte, 100))
}

func newReverseProxy(b *testing.B, kind, target string) http.Handler {
	b.Helper()
	transport := &http.Transport{
		Protocols: new(http.Protocols), DisableCompression: true, MaxIdleConnsPerHost: DefaultMaxIdleConns,
		HTTP2: &http.HTTP2Config{
			MaxReceiveBufferPerStream: h2StreamWindow, MaxReceiveBufferPerConnection: h2ConnWindow, MaxReadFrameSize: h2MaxFrame,
		},
	}
	transport.Protocols.SetHTTP1(kind == "http")
	transport.Protocols.SetUnencryptedHTTP2(kind == "h2c")
	b.Cleanup(transport.CloseIdleConnections)
	to, err := url.Parse(target)
	if err != nil {
		b.Fatal(err)
	}
	to.Scheme = "http"
	return &httputil.ReverseProxy{
		Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(to); r.SetXForwarded() },
		Transport: transport,
		ErrorLog:  slog.NewLogLogger(slog.DiscardHandler, slog.LevelError),
	}
}

func benchmark(b *testing.B, handler http.Handler, up, down int) {
	b.Helper()
	server := &http.Server{Handler: handler, Protocols: new(http.Protocols)}
	server.Protocols.SetHTTP1(true)
	server.Protocols.SetUnencryptedHTTP2(true)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	go func() { _ = server.Serve(listener) }()
	b.Cleanup(func() { server.Close() })
	client := newClient(b, false)
	client.Transport.(*http.Transport).MaxIdleConnsPerHost = 100
	path := "/small"
	if down > 1000 {
		path = "/large"
	}
	address := "http://" + listener.Addr().String() + path
	content := make([]byte, up)
	var failures atomic.Int32
	b.SetBytes(int64(up + down))
	b.ReportAllocs()
	b.SetParallelism(8)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			method, body := "GET", io.Reader(nil)
			if up > 0 {
				method, body = "POST", bytes.NewReader(content)
			}
			r, _ := http.NewRequest(method, address, body)
			response, err := client.Do(r)
			if err != nil {
				failures.Add(1)
				continue
			}
			if _, err := io.Copy(io.Discard, response.Body); err != nil {
				failures.Add(1)
			}
			response.Body.Close()
		}
	})
	if n := failures.Load(); n > 0 {
		b.Errorf("%d failures", n)
	}
}
