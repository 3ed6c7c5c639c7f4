package upstream

import (
	"net/http"
	"strings"
	"testing"
)

func TestNginx(t *testing.T) {
	h1, h2 := startNginx(t)
	f := startFront(t, h1, Options{})
	get := func(t *testing.T, r *http.Request) (*http.Response, string) {
		t.Helper()
		response := f.do(t, "h2", r)
		return response, readAll(t, response.Body)
	}
	t.Run("request", func(t *testing.T) {
		r := newRequest(t, "GET", f.url("/echo//a%2fb?c=%20"), nil)
		r.Host = "app.example"
		if _, body := get(t, r); body != "GET /echo//a%2fb?c=%20 app.example 127.0.0.1 " {
			t.Errorf("body %q", body)
		}
	})
	t.Run("file", func(t *testing.T) {
		response, body := get(t, newRequest(t, "GET", f.url("/large.bin"), nil))
		if len(body) != 10<<20 || response.ContentLength != 10<<20 || response.Header.Get("Server") == "" {
			t.Errorf("%d bytes, header %v", len(body), response.Header)
		}
	})
	t.Run("range", func(t *testing.T) {
		r := newRequest(t, "GET", f.url("/file.txt"), nil)
		r.Header.Set("Range", "bytes=5-7")
		if response, body := get(t, r); response.StatusCode != http.StatusPartialContent || body != "567" {
			t.Errorf("status %d, body %q", response.StatusCode, body)
		}
	})
	t.Run("not modified", func(t *testing.T) {
		response, _ := get(t, newRequest(t, "GET", f.url("/file.txt"), nil))
		r := newRequest(t, "GET", f.url("/file.txt"), nil)
		r.Header.Set("If-None-Match", response.Header.Get("Etag"))
		if response, body := get(t, r); response.StatusCode != http.StatusNotModified || body != "" {
			t.Errorf("status %d, body %q", response.StatusCode, body)
		}
	})
	t.Run("gzip", func(t *testing.T) {
		response, body := get(t, newRequest(t, "GET", f.url("/file.txt"), nil))
		if response.Header.Get("Content-Encoding") != "" || len(body) != 10_000 {
			t.Errorf("unasked: %v", response.Header)
		}
		r := newRequest(t, "GET", f.url("/file.txt"), nil)
		r.Header.Set("Accept-Encoding", "gzip")
		response, body = get(t, r)
		if response.Header.Get("Content-Encoding") != "gzip" || !strings.HasPrefix(body, "\x1f\x8b") {
			t.Errorf("asked: %v", response.Header)
		}
	})
	t.Run("too large, early", func(t *testing.T) {
		for range 10 {
			r := newRequest(t, "POST", f.url("/limited"), strings.NewReader(strings.Repeat("x", 1<<20)))
			if response, body := get(t, r); response.StatusCode != http.StatusRequestEntityTooLarge || !strings.Contains(body, "413") {
				t.Errorf("status %d", response.StatusCode)
			}
		}
	})
	t.Run("no keep-alive", func(t *testing.T) {
		for range 10 {
			if _, body := get(t, newRequest(t, "POST", f.url("/once"), strings.NewReader("x"))); body != "once" {
				t.Errorf("body %q", body)
			}
		}
	})
	t.Run("h2c", func(t *testing.T) {
		over2 := startFront(t, h2, Options{})
		response := over2.do(t, "h1", newRequest(t, "GET", over2.url("//a|b?c"), nil))
		if body := readAll(t, response.Body); body != "HTTP/2.0 //a%7Cb?c "+over2.address {
			t.Errorf("body %q", body) // net/http's client, not the proxy, encodes the bar
		}
	})
}
