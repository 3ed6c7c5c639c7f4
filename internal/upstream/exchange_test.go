package upstream

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// eachPath runs a test for each version of HTTP on either side of the proxy.
func eachPath(t *testing.T, test func(t *testing.T, kind, version string)) {
	t.Helper()
	for _, kind := range targetKinds {
		for _, version := range []string{"h1", "h2"} {
			t.Run(kind+"/"+version, func(t *testing.T) { test(t, kind, version) })
		}
	}
}

func TestBodies(t *testing.T) {
	echo := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		w.Header().Set("X-Length", strconv.FormatInt(r.ContentLength, 10))
		w.Header().Set("X-Method", r.Method)
		if r.URL.Path == "/known" {
			w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		}
		_, _ = w.Write(body)
	})
	eachPath(t, func(t *testing.T, kind, version string) {
		t.Helper()
		f := startFront2(t, kind, echo)
		for _, size := range []int{0, 1, 1000, bufferSize - 10, bufferSize, 3 << 20} {
			for _, known := range []bool{true, false} {
				content := strings.Repeat("0123456789", size/10+1)[:size]
				var body io.Reader = strings.NewReader(content)
				path, length := "/known", strconv.Itoa(size)
				if !known {
					body, path, length = io.MultiReader(body), "/unknown", "-1"
				}
				response := f.do(t, version, newRequest(t, "POST", f.url(path), body))
				if got := readAll(t, response.Body); got != content {
					t.Fatalf("size %d, known %v: got %d bytes back", size, known, len(got))
				}
				if got := response.Header.Get("X-Length"); got != length {
					t.Errorf("size %d, known %v: upstream saw length %s", size, known, got)
				}
				if known && response.ContentLength != int64(size) {
					t.Errorf("size %d: response has Content-Length %d", size, response.ContentLength)
				}
			}
		}
	})
}

func startFront2(t testing.TB, kind string, handler http.Handler) *front {
	t.Helper()
	target, options := startUpstream(t, kind, handler)
	return startFront(t, target, options)
}

func TestBodilessResponses(t *testing.T) {
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		status, _ := strconv.Atoi(r.URL.Query().Get("status"))
		if status != http.StatusNoContent {
			w.Header().Set("Content-Length", "1234")
		}
		w.Header().Set("Etag", `"x"`)
		w.WriteHeader(status)
	})
	eachPath(t, func(t *testing.T, kind, version string) {
		t.Helper()
		f := startFront2(t, kind, handler)
		for _, c := range []struct {
			method string
			status int
			length string
		}{{"HEAD", 200, "1234"}, {"HEAD", 404, "1234"}, {"GET", 204, ""}} {
			r := newRequest(t, c.method, f.url(fmt.Sprintf("/?status=%d", c.status)), nil)
			response := f.do(t, version, r)
			if response.StatusCode != c.status || response.Header.Get("Etag") != `"x"` {
				t.Errorf("%s %d: got %v", c.method, c.status, response)
			}
			if got := response.Header.Get("Content-Length"); got != c.length {
				t.Errorf("%s %d: Content-Length %q, want %q", c.method, c.status, got, c.length)
			}
			if body := readAll(t, response.Body); body != "" {
				t.Errorf("%s %d: body %q", c.method, c.status, body)
			}
		}
	})
}

// TestNotModified keeps the length that the response would have had. net/http's
// server for HTTP/1.1 drops it, so the upstream is a raw one.
func TestNotModified(t *testing.T) {
	address := startRaw(t, func(conn net.Conn) {
		if _, err := http.ReadRequest(bufio.NewReader(conn)); err == nil {
			_, _ = io.WriteString(conn, "HTTP/1.1 304 Not Modified\r\nContent-Length: 1234\r\n\r\n")
		}
	})
	f := startFront(t, "http://"+address, Options{})
	response := f.do(t, "h2", newRequest(t, "GET", f.url("/"), nil))
	if response.StatusCode != http.StatusNotModified || response.Header.Get("Content-Length") != "1234" {
		t.Errorf("got %v", response)
	}
}

// TestFields compares what upstream and client see with what the other side sent.
func TestFields(t *testing.T) {
	seen := make(chan *http.Request, 1)
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen <- r.Clone(context.Background())
		own := w.Header()
		own["X-Many"] = []string{"b", "a", "", "b"}
		own["X-Raw"] = []string{"caf\xe9"}
		own["Set-Cookie"] = []string{"a=1", "b=2"}
		own["Connection"] = []string{"X-Hop"}
		own["X-Hop"] = []string{"1"}
		own["Keep-Alive"] = []string{"timeout=5"}
		own["Date"] = nil
		own["Content-Type"] = nil
		w.WriteHeader(299)
	})
	eachPath(t, func(t *testing.T, kind, version string) {
		t.Helper()
		f := startFront2(t, kind, handler)
		r := newRequest(t, "BREW", f.url("/"), nil)
		r.Host = "example.com:81"
		r.Header = http.Header{
			"X-Many": {"b", "a", "", "b"}, "X-Raw": {"caf\xe9"}, "User-Agent": nil,
			"Cookie": {"a=1; b=2"}, "Te": {"trailers"}, "Authorization": {"Basic x"},
		}
		if version == "h1" {
			r.Header["Connection"] = []string{"X-Hop, keep-alive"}
			r.Header["X-Hop"] = []string{"1"}
			r.Header["Te"] = []string{"trailers, deflate;q=0.5"}
			r.Header["Keep-Alive"] = []string{"1"}
			r.Header["Proxy-Connection"] = []string{"keep-alive"}
		}
		response := f.do(t, version, r)
		got := <-seen
		want := http.Header{
			"X-Many": {"b", "a", "", "b"}, "X-Raw": {"caf\xe9"},
			"Cookie": {"a=1; b=2"}, "Te": {"trailers"}, "Authorization": {"Basic x"},
			"X-Forwarded-For": {"127.0.0.1"}, "X-Forwarded-Proto": {"http"}, "X-Forwarded-Host": {"example.com:81"},
			"Forwarded": {`for=127.0.0.1;host="example.com:81";proto=http`},
		}
		delete(got.Header, "Connection") // that of HTTP/1.1 for TE
		if !maps.EqualFunc(got.Header, want, slices.Equal) {
			t.Errorf("upstream saw %q\nwant %q", got.Header, want)
		}
		if got.Host != "example.com:81" || got.Method != "BREW" {
			t.Errorf("upstream saw %s for %s", got.Method, got.Host)
		}
		want = http.Header{"X-Many": {"b", "a", "", "b"}, "X-Raw": {"caf\xe9"}, "Set-Cookie": {"a=1", "b=2"}}
		delete(response.Header, "Content-Length")
		if kind == "h2c" || kind == "unix+h2c" || kind == "https" {
			delete(response.Header, "X-Hop") // HTTP/2 servers drop Connection, and with it what it says
		}
		if !maps.EqualFunc(response.Header, want, slices.Equal) {
			t.Errorf("client saw %q\nwant %q", response.Header, want)
		}
		if response.StatusCode != 299 {
			t.Errorf("status %d", response.StatusCode)
		}
	})
}

func TestTrailers(t *testing.T) {
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", "X-Announced, X-Missing")
		w.WriteHeader(http.StatusOK)
		_, _ = io.Copy(w, r.Body)
		w.Header()["X-Announced"] = append([]string{"1"}, r.Trailer["X-Sum"]...)
		w.Header()[http.TrailerPrefix+"X-Undeclared"] = []string{"2", "3"}
	})
	eachPath(t, func(t *testing.T, kind, version string) {
		t.Helper()
		f := startFront2(t, kind, handler)
		var r *http.Request
		body := io.MultiReader(strings.NewReader("body"), readerFunc(func([]byte) (int, error) {
			r.Trailer.Set("X-Sum", "abc")
			return 0, io.EOF
		}))
		r = newRequest(t, "POST", f.url("/"), body)
		r.Trailer = http.Header{"X-Sum": nil}
		response := f.do(t, version, r)
		if got := readAll(t, response.Body); got != "body" {
			t.Errorf("body %q", got)
		}
		want := http.Header{"X-Announced": {"1", "abc"}, "X-Undeclared": {"2", "3"}}
		delete(response.Trailer, "X-Missing") // announced, and so there without a value
		if !maps.EqualFunc(response.Trailer, want, slices.Equal) {
			t.Errorf("trailer %q, want %q", response.Trailer, want)
		}
	})
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// TestTrailersBesideLength has a request with both, which only HTTP/2 can have.
func TestTrailersBesideLength(t *testing.T) {
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %v %v", body, err, r.Trailer)
	})
	for _, kind := range []string{"http", "h2c"} {
		f := startFront2(t, kind, handler)
		r := newRequest(t, "POST", f.url("/"), strings.NewReader("body"))
		r.Trailer = http.Header{"X-Sum": {"4"}}
		if got := readAll(t, f.do(t, "h2", r).Body); got != "body <nil> map[X-Sum:[4]]" || r.ContentLength != 4 {
			t.Errorf("%s: the upstream saw %q", kind, got)
		}
	}
}

// TestTrailersOfNoContent has a response without a body that has trailers, which
// only HTTP/2 can have.
func TestTrailersOfNoContent(t *testing.T) {
	f := startFront2(t, "h2c", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Trailer", "X-Sum")
		w.WriteHeader(http.StatusNoContent)
		w.Header().Set("X-Sum", "0")
	}))
	response := f.do(t, "h2", newRequest(t, "GET", f.url("/"), nil))
	if got := readAll(t, response.Body); got != "" || response.Trailer.Get("X-Sum") != "0" {
		t.Errorf("body %q, trailer %v", got, response.Trailer)
	}
}

func TestInformational(t *testing.T) {
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		own := w.Header()
		own.Set("Link", "</a>")
		w.WriteHeader(http.StatusEarlyHints)
		own.Set("Link", "</b>")
		own.Add("Link", "</c>")
		w.WriteHeader(http.StatusEarlyHints)
		own.Del("Link")
		w.WriteHeader(http.StatusProcessing)
		own.Set("X-Final", "1")
		w.WriteHeader(http.StatusOK)
	})
	eachPath(t, func(t *testing.T, kind, version string) {
		t.Helper()
		target, options := startUpstream(t, kind, handler)
		f := startFrontWith(t, target, options, func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("X-Outer", "kept")
				next.ServeHTTP(w, r)
			})
		})
		var got []string
		trace := &httptrace.ClientTrace{Got1xxResponse: func(code int, header textproto.MIMEHeader) error {
			got = append(got, fmt.Sprint(code, header["Link"], len(header)))
			return nil
		}}
		r := newRequest(t, "GET", f.url("/"), nil)
		response := f.do(t, version, r.WithContext(httptrace.WithClientTrace(r.Context(), trace)))
		want := []string{"103 [</a>] 1", "103 [</b> </c>] 1", "102 [] 0"}
		if !slices.Equal(got, want) {
			t.Errorf("interim responses %q, want %q", got, want)
		}
		if response.Header.Get("X-Outer") != "kept" || response.Header.Get("X-Final") != "1" || response.Header.Get("Link") != "" {
			t.Errorf("final head %q", response.Header)
		}
	})
}

func TestExpectContinue(t *testing.T) {
	var got100 bool
	trace := &httptrace.ClientTrace{Got100Continue: func() { got100 = true }}
	for _, kind := range []string{"http", "h2c"} {
		t.Run(kind, func(t *testing.T) {
			f := startFront2(t, kind, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/refuse" {
					w.WriteHeader(http.StatusExpectationFailed)
					return
				}
				_, _ = io.Copy(w, r.Body)
			}))
			r := newRequest(t, "POST", f.url("/take"), strings.NewReader("body"))
			r.Header.Set("Expect", "100-continue")
			got100 = false
			response := f.do(t, "h1", r.WithContext(httptrace.WithClientTrace(r.Context(), trace)))
			if body := readAll(t, response.Body); body != "body" || !got100 {
				t.Errorf("body %q, 100 seen: %v", body, got100)
			}
			unread := readerFunc(func([]byte) (int, error) {
				t.Error("the body of a refused request was read")
				return 0, io.EOF
			})
			r = newRequest(t, "POST", f.url("/refuse"), unread)
			r.Header.Set("Expect", "100-continue")
			if kind == "h2c" {
				return // net/http's HTTP/2 server hides Expect, and answers 100 itself
			}
			if response := f.do(t, "h1", r); response.StatusCode != http.StatusExpectationFailed {
				t.Errorf("status %d", response.StatusCode)
			}
		})
	}
}
