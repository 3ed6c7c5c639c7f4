package clients

import (
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"
)

const installChromium = "apt-get install chromium"

// browserPrograms are clients in Chromium, on a page of another origin.
func browserPrograms() []program {
	var all []program
	for _, client := range []struct{ name, kind string }{
		{"connect-web, connect, in Chromium", "connect"},
		{"connect-web, grpc-web, in Chromium", "grpc-web"},
		{"grpc-web (npm), text, in Chromium", "grpc-web-text"},
	} {
		all = append(all, program{
			name:   client.name,
			cannot: inBrowser(),
			run: func(tb testing.TB, _ string, calls []rpcCall) []rpcReply {
				tb.Helper()
				node, dir := nodePackages(tb)
				chromium := need(tb, "chromium", installChromium)
				out, origin := servePages(tb)
				// A server of its own, which lets the page in.
				addr := serve(tb, listApp(), origin)
				return runProgram(tb, calls, node, filepath.Join(dir, "browser.js"),
					client.kind, "http://"+addr, generateES(tb, dir), chromium, out, origin)
			},
		})
	}
	return all
}

// servePages serves a folder for pages, and returns it and its origin.
func servePages(tb testing.TB) (dir, origin string) {
	tb.Helper()
	dir = tempDir(tb)
	server := httptest.NewServer(http.FileServer(http.Dir(dir)))
	tb.Cleanup(server.Close)
	return dir, server.URL
}
