package culvert_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/culvert-http/culvert"
)

// echo answers with the request's body while it comes.
func echo(w http.ResponseWriter, r *http.Request) {
	control := http.NewResponseController(w)
	_ = control.EnableFullDuplex()
	_ = control.Flush()
	buffer := make([]byte, 4096)
	for {
		n, err := r.Body.Read(buffer)
		if n > 0 {
			if _, err := w.Write(buffer[:n]); err != nil {
				return
			}
			_ = control.Flush()
		}
		if err != nil {
			return
		}
	}
}

// eachBack runs a test with a gateway to an HTTP/2 server and to a tunnel.
func eachBack(t *testing.T, test func(*testing.T, httpVersion)) {
	for _, back := range []httpVersion{http2Cleartext, tunnelled} {
		t.Run("to "+back.String(), func(t *testing.T) { test(t, back) })
	}
}

// eachVersion runs a test with clients of both versions of HTTP.
func eachVersion(t *testing.T, test func(*testing.T, httpVersion)) {
	for _, version := range []httpVersion{http1, http2Cleartext} {
		t.Run(version.String(), func(t *testing.T) { test(t, version) })
	}
}

func TestGatewayFullDuplex(t *testing.T) {
	eachBack(t, func(t *testing.T, back httpVersion) {
		eachVersion(t, func(t *testing.T, version httpVersion) {
			addr := startGateway(t, http.HandlerFunc(echo), back)
			request, send := io.Pipe()
			r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://example.com/", request)
			if err != nil {
				t.Fatal(err)
			}
			resp, err := newFrontClient(t, addr, version).Do(r)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			got := make([]byte, 1)
			for i := range 1000 {
				if _, err := send.Write([]byte{byte(i)}); err != nil {
					t.Fatal(err)
				}
				if _, err := io.ReadFull(resp.Body, got); err != nil || got[0] != byte(i) {
					t.Fatalf("byte %d came back as %d, %v", byte(i), got[0], err)
				}
			}
			send.Close()
			if n, err := resp.Body.Read(got); n != 0 || err != io.EOF {
				t.Errorf("after the end: %d bytes, %v", n, err)
			}
		})
	})
}

// TestGatewayEarlyResponse has a server answer while the client still sends, and
// goes on sending until it has all of the answer.
func TestGatewayEarlyResponse(t *testing.T) {
	eachBack(t, func(t *testing.T, back httpVersion) {
		for _, length := range []string{"", "8"} {
			t.Run("length "+length, func(t *testing.T) {
				eachVersion(t, func(t *testing.T, version httpVersion) {
					addr := startGateway(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
						if length != "" {
							w.Header().Set("Content-Length", length)
						}
						w.WriteHeader(http.StatusRequestEntityTooLarge)
						fmt.Fprint(w, "too much")
					}), back)
					request, send := io.Pipe()
					defer send.Close()
					go fmt.Fprint(send, strings.Repeat("x", 1<<20)) // ends when the transport gives up
					r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://example.com/", request)
					if err != nil {
						t.Fatal(err)
					}
					resp, err := newFrontClient(t, addr, version).Do(r)
					if err != nil {
						t.Fatal(err)
					}
					defer resp.Body.Close()
					body, err := io.ReadAll(resp.Body)
					if resp.StatusCode != http.StatusRequestEntityTooLarge || string(body) != "too much" || err != nil {
						t.Errorf("got %d %q, %v", resp.StatusCode, body, err)
					}
				})
			})
		}
	})
}

// TestGatewayStalledUpload has a client that stops in the middle of its body, and
// yet gets the whole answer, and after it the end of the connection: what it
// would send next is not a request.
func TestGatewayStalledUpload(t *testing.T) {
	eachBack(t, func(t *testing.T, back httpVersion) {
		for name, request := range map[string]string{
			"length":                     "Content-Length: 100\r\n\r\nhello",
			"chunks":                     "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
			"in the middle of a chunk":   "Transfer-Encoding: chunked\r\n\r\n50\r\nhello",
			"not a chunk":                "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nGET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n",
			"length larger than a drain": "Content-Length: 10000000\r\n\r\nhello",
		} {
			for _, status := range []int{200, 403} {
				t.Run(fmt.Sprintf("%s, status %d", name, status), func(t *testing.T) {
					t.Parallel() // net/http lingers for half a second
					addr := startGateway(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
						if r.URL.Path == "/smuggled" {
							t.Error("a part of the body was taken for a request")
						}
						w.WriteHeader(status)
						w.(http.Flusher).Flush()
						fmt.Fprint(w, "answer")
					}), back)
					conn := dial(t, addr)
					fmt.Fprint(conn, "POST / HTTP/1.1\r\nHost: example.com\r\n"+request)
					reader := bufio.NewReader(conn)
					resp, err := http.ReadResponse(reader, nil)
					if err != nil {
						t.Fatal(err)
					}
					body, err := io.ReadAll(resp.Body)
					refused := name == "not a chunk" && resp.StatusCode == http.StatusBadRequest // was seen first
					if !refused && (resp.StatusCode != status || string(body) != "answer") || err != nil {
						t.Fatalf("got %d %q, %v", resp.StatusCode, body, err)
					}
					fmt.Fprint(conn, "GET /smuggled HTTP/1.1\r\nHost: example.com\r\n\r\n")
					if rest, _ := io.ReadAll(reader); len(rest) > 0 {
						t.Errorf("after the response: %q", rest)
					}
				})
			}
		}
	})
}

// TestGatewayKeepsConnection has a server ignore bodies that come late, which
// shall not cost the client its connection.
func TestGatewayKeepsConnection(t *testing.T) {
	eachBack(t, func(t *testing.T, back httpVersion) {
		for name, request := range map[string][2]string{
			"length": {"Content-Length: 5\r\n\r\n", "hello"},
			"large":  {"Content-Length: 200000\r\n\r\n", strings.Repeat("x", 200_000)},
			"chunks": {"Transfer-Encoding: chunked\r\n\r\n", "5\r\nhello\r\n0\r\n\r\n"},
		} {
			t.Run(name, func(t *testing.T) {
				addr := startGateway(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					http.Error(w, r.URL.Path, http.StatusNotFound)
				}), back)
				conn := dial(t, addr)
				reader := bufio.NewReader(conn)
				for i := range 3 {
					fmt.Fprintf(conn, "POST /%d HTTP/1.1\r\nHost: example.com\r\n%s", i, request[0])
					fmt.Fprint(conn, request[1])
					resp, err := http.ReadResponse(reader, nil)
					if err != nil {
						t.Fatalf("request %d: %v", i, err)
					}
					body, err := io.ReadAll(resp.Body)
					if want := fmt.Sprintf("/%d\n", i); string(body) != want || err != nil {
						t.Errorf("request %d: %q, %v, want %q", i, body, err, want)
					}
				}
			})
		}
	})
}

// TestGatewayClosesInDoubt has a server of somebody's own, where nobody can say
// whether a request in chunks has a length as well.
func TestGatewayClosesInDoubt(t *testing.T) {
	gateway := newGateway(func(*http.Request) (*http.Response, error) { return textResponse("answer"), nil })
	server := httptest.NewServer(gateway)
	t.Cleanup(server.Close)
	for fields, want := range map[string]bool{"Content-Length: 0\r\n\r\n": false, "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n": true} {
		resp, body := rawRequest(t, server.Listener.Addr().String(), "POST / HTTP/1.1\r\nHost: example.com\r\n"+fields)
		if resp.Close != want || body != "answer" {
			t.Errorf("%q: closing: %t, want %t; %q", fields, resp.Close, want, body)
		}
	}
}

func TestGatewayExpectContinue(t *testing.T) {
	eachBack(t, func(t *testing.T, back httpVersion) {
		const head = "POST / HTTP/1.1\r\nHost: example.com\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n"
		t.Run("wanted", func(t *testing.T) {
			release := make(chan struct{})
			addr := startGateway(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				<-release
				_, _ = io.Copy(w, r.Body)
			}), back)
			conn := dial(t, addr)
			reader := bufio.NewReader(conn)
			fmt.Fprint(conn, head)
			close(release)
			if line := readHead(t, reader); line != "HTTP/1.1 100 Continue\r\n\r\n" {
				t.Fatalf("got %q, want a 100", line)
			}
			fmt.Fprint(conn, "hello")
			resp, err := http.ReadResponse(reader, nil)
			if err != nil {
				t.Fatal(err)
			}
			if body, err := io.ReadAll(resp.Body); string(body) != "hello" || err != nil {
				t.Errorf("got %q, %v", body, err)
			}
		})
		t.Run("not wanted", func(t *testing.T) {
			addr := startGateway(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				http.Error(w, "no", http.StatusForbidden)
			}), back)
			resp, body := rawRequest(t, addr, head)
			if resp.StatusCode != http.StatusForbidden || body != "no\n" || !resp.Close {
				t.Errorf("got %d %q, closing: %t", resp.StatusCode, body, resp.Close)
			}
		})
		t.Run("a server that says nothing", func(t *testing.T) {
			addr := startServer(t, newGateway(func(r *http.Request) (*http.Response, error) {
				if r.Header.Get("Expect") != "100-continue" {
					t.Error("Expect did not get through")
				}
				body, err := io.ReadAll(r.Body)
				return textResponse(string(body)), err
			}))
			conn := dial(t, addr)
			reader := bufio.NewReader(conn)
			start := time.Now()
			fmt.Fprint(conn, head)
			if line := readHead(t, reader); line != "HTTP/1.1 100 Continue\r\n\r\n" {
				t.Fatalf("got %q, want a 100", line)
			}
			if waited := time.Since(start); waited < time.Second {
				t.Errorf("the body was asked for after %v, want a second", waited)
			}
			fmt.Fprint(conn, "hello")
			if resp, err := http.ReadResponse(reader, nil); err != nil || resp.StatusCode != http.StatusOK {
				t.Errorf("got %v, %v", resp, err)
			}
		})
		t.Run("HTTP/1.0", func(t *testing.T) {
			addr := startGateway(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.WriteHeader(http.StatusEarlyHints)
				_, _ = io.Copy(w, r.Body)
			}), back)
			conn := dial(t, addr)
			fmt.Fprint(conn, strings.Replace(head, "1.1", "1.0", 1)+"hello")
			all, err := io.ReadAll(conn)
			if !strings.HasPrefix(string(all), "HTTP/1.0 200") || !strings.HasSuffix(string(all), "hello") || err != nil {
				t.Errorf("got %q, %v", all, err)
			}
		})
	})
}

// readHead reads to the first empty line.
func readHead(tb testing.TB, reader *bufio.Reader) string {
	tb.Helper()
	var head strings.Builder
	for {
		line, err := reader.ReadString('\n')
		if err != nil {
			tb.Fatalf("after %q: %v", head.String(), err)
		}
		head.WriteString(line)
		if line == "\r\n" {
			return head.String()
		}
	}
}

// TestGatewayCutsHTTP10 has a body whose end is that of the connection cut short.
func TestGatewayCutsHTTP10(t *testing.T) {
	eachBack(t, func(t *testing.T, back httpVersion) {
		addr := startGateway(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprint(w, "part")
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		}), back)
		conn := dial(t, addr)
		fmt.Fprint(conn, "GET / HTTP/1.0\r\nHost: example.com\r\n\r\n")
		if all, err := io.ReadAll(conn); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("got %q, %v, want a reset", all, err)
		}
	})
}

// TestGatewayCancel has clients leave while the server works.
func TestGatewayCancel(t *testing.T) {
	eachBack(t, func(t *testing.T, back httpVersion) {
		eachVersion(t, func(t *testing.T, version httpVersion) {
			for _, open := range []bool{false, true} {
				t.Run(fmt.Sprintf("open body %t", open), func(t *testing.T) {
					started, ended := make(chan struct{}), make(chan struct{})
					addr := startGateway(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
						close(started)
						<-r.Context().Done()
						close(ended)
					}), back)
					ctx, cancel := context.WithCancel(t.Context())
					var body io.Reader
					request, send := io.Pipe()
					if open {
						body = request
					}
					r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://example.com/", body)
					if err != nil {
						t.Fatal(err)
					}
					go func() {
						<-started
						cancel()
						send.CloseWithError(context.Canceled)
					}()
					if resp, err := newFrontClient(t, addr, version).Do(r); err == nil {
						resp.Body.Close()
						t.Error("got a response")
					}
					within(t, ended)
				})
			}
		})
	})
}

// TestGatewayTruncatedUpload has clients go away in the middle of their body. The
// server shall not take it for the whole.
func TestGatewayTruncatedUpload(t *testing.T) {
	for name, request := range map[string]string{
		"length": "Content-Length: 100\r\n\r\nhello",
		"chunks": "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
	} {
		for _, back := range []httpVersion{http1, http2Cleartext, tunnelled} {
			t.Run(fmt.Sprintf("%s to %v", name, back), func(t *testing.T) {
				result, ended := error(nil), make(chan struct{})
				addr := startGateway(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
					defer close(ended)
					_, result = io.ReadAll(r.Body)
				}), back)
				conn := dial(t, addr)
				fmt.Fprint(conn, "POST / HTTP/1.1\r\nHost: example.com\r\n"+request)
				conn.Close()
				within(t, ended)
				if result == nil {
					t.Error("the body ended as if it were complete")
				}
			})
		}
	}
}

func within(tb testing.TB, done <-chan struct{}) {
	tb.Helper()
	select {
	case <-done:
	case <-time.After(patience):
		tb.Fatal("waited in vain")
	}
}

// TestGatewayClientGone has clients go in the middle of their requests, which is no
// failure of the tunnel in the observer's eyes.
func TestGatewayClientGone(t *testing.T) {
	for _, version := range []httpVersion{http1, http2Cleartext} {
		t.Run(version.String(), func(t *testing.T) {
			read, records := make(chan struct{}), make(chan culvert.Record, 1)
			addr := startGateway(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				_, _ = io.ReadFull(r.Body, make([]byte, 4))
				close(read)
				_, _ = io.Copy(io.Discard, r.Body)
			}), tunnelled, culvert.WithGatewayObserver(func(_ context.Context, r culvert.Record) { records <- r }))
			ctx, cancel := context.WithCancel(t.Context())
			body, client := io.Pipe()
			request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://app.test/", body)
			if err != nil {
				t.Fatal(err)
			}
			done := make(chan error, 1)
			go func() {
				response, err := newRoundTripper(t, addr, version).RoundTrip(request)
				if err == nil {
					_ = response.Body.Close()
				}
				done <- err
			}()
			_, _ = io.WriteString(client, "some")
			<-read
			cancel()
			_ = client.CloseWithError(context.Canceled)
			if err := <-done; err == nil {
				t.Error("the client got a response")
			}
			record := <-records
			if !errors.Is(record.Err, context.Canceled) {
				t.Errorf("recorded error %v", record.Err)
			}
		})
	}
}
