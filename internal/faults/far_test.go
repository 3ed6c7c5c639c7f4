package faults

import (
	"fmt"
	"io"
	"net/http"
	"testing"

	"github.com/culvert-http/culvert"
)

// farBody is how long the bodies of these benchmarks are.
const farBody = 64 << 20

// BenchmarkFar measures one long body where a round trip takes 50 ms, which is
// what windows bound.
func BenchmarkFar(b *testing.B) {
	app := http.NewServeMux()
	app.HandleFunc("POST /take", func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) })
	app.HandleFunc("POST /give", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.CopyN(w, zeros{}, farBody) })
	for _, method := range []culvert.Method{culvert.MethodSession, culvert.MethodExchange} {
		for _, upload := range []bool{true, false} {
			name := fmt.Sprintf("%s/%s", method, map[bool]string{true: "upload", false: "download"}[upload])
			b.Run(name, func(b *testing.B) { benchmarkFar(b, app, method, upload) })
		}
	}
}

func benchmarkFar(b *testing.B, app http.Handler, method culvert.Method, upload bool) {
	b.Helper()
	proxy := newProxy(b, newServer(b, app, "").address)
	for _, stream := range []string{"upstream", "downstream"} {
		addToxic(b, proxy, fmt.Sprintf(`{"type":"latency","stream":%q,"attributes":{"latency":25}}`, stream))
	}
	transport := newTransport(b, proxy.Listen, culvert.WithMethod(method))
	b.SetBytes(farBody)
	for b.Loop() {
		var body io.Reader
		path := "/give"
		if upload {
			path, body = "/take", io.LimitReader(zeros{}, farBody)
		}
		resp := start(b, transport, path, body)
		if _, err := io.Copy(io.Discard, resp.Body); err != nil {
			b.Fatal(err)
		}
		_ = resp.Body.Close()
	}
}
