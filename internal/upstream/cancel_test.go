package upstream

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	culvertv1 "github.com/culvert-http/culvert/api/culvert/v1"
)

// TestCancel has the client leave at each point of an exchange. The upstream
// notices, and the handler returns.
func TestCancel(t *testing.T) {
	flush := func(w http.ResponseWriter) { http.NewResponseController(w).Flush() }
	for _, c := range []struct {
		name    string
		body    func() io.Reader // of the request
		handler func(w http.ResponseWriter, r *http.Request, arrived chan<- struct{})
	}{
		{"before the head", nil, func(w http.ResponseWriter, r *http.Request, arrived chan<- struct{}) {
			close(arrived)
			<-r.Context().Done()
		}},
		{"in the request", blockedBody, func(w http.ResponseWriter, r *http.Request, arrived chan<- struct{}) {
			close(arrived)
			_, _ = io.Copy(io.Discard, r.Body)
		}},
		{"in both bodies", blockedBody, func(w http.ResponseWriter, r *http.Request, arrived chan<- struct{}) {
			flush(w)
			close(arrived)
			_, _ = io.Copy(io.Discard, r.Body)
		}},
		{"in the response", nil, func(w http.ResponseWriter, r *http.Request, arrived chan<- struct{}) {
			_, _ = io.WriteString(w, "x")
			flush(w)
			close(arrived)
			<-r.Context().Done()
		}},
		{"while the client stalls", nil, func(w http.ResponseWriter, r *http.Request, arrived chan<- struct{}) {
			block := make([]byte, 1<<20)
			for i := 0; ; i++ {
				if _, err := w.Write(block); err != nil {
					return
				}
				if i == 0 {
					close(arrived)
				}
			}
		}},
		{"while the upstream stalls", endlessBody, func(w http.ResponseWriter, r *http.Request, arrived chan<- struct{}) {
			_, _ = r.Body.Read(make([]byte, 1))
			close(arrived)
			<-r.Context().Done()
		}},
	} {
		for _, kind := range []string{"http", "h2c", "unix"} {
			for _, version := range []string{"h1", "h2"} {
				t.Run(c.name+"/"+kind+"/"+version, func(t *testing.T) {
					if c.name == "while the upstream stalls" && (kind != "h2c" || version != "h2") {
						t.Skip("net/http's server for HTTP/1.1 does not notice a client's end while nobody reads the request")
					}
					arrived, left := make(chan struct{}), make(chan struct{})
					f := startFront2(t, kind, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
						defer close(left)
						_ = http.NewResponseController(w).EnableFullDuplex()
						c.handler(w, r, arrived)
					}))
					ctx, cancel := context.WithCancel(testContext(t))
					defer cancel()
					var body io.Reader
					if c.body != nil {
						body = c.body()
					}
					r, err := http.NewRequestWithContext(ctx, http.MethodPost, f.url("/"), body)
					if err != nil {
						t.Fatal(err)
					}
					go func() {
						<-arrived
						cancel()
						if closer, ok := body.(io.Closer); ok {
							closer.Close()
						}
					}()
					response, err := f.client(version).Do(r)
					if err == nil {
						<-ctx.Done()
						response.Body.Close()
					}
					<-left
					o := f.failed(t)
					switch o.cause {
					case culvertv1.Cause_CAUSE_CANCELED, culvertv1.Cause_CAUSE_MALFORMED_REQUEST:
					default:
						t.Errorf("%v: %v", o.cause, o.err)
					}
				})
			}
		}
	}
}

func blockedBody() io.Reader {
	reader, _ := io.Pipe()
	return reader
}

func endlessBody() io.Reader {
	return readerFunc(func(p []byte) (int, error) { return len(p), nil })
}

// TestDeadline has the outer context end while nothing else happens, as the
// deadline of an RPC does, with a client that neither sends nor reads.
func TestDeadline(t *testing.T) {
	for _, kind := range []string{"http", "h2c"} {
		for _, version := range []string{"h1", "h2"} {
			for _, path := range []string{"/silent", "/flood"} {
				t.Run(kind+"/"+version+path, func(t *testing.T) {
					target, options := startUpstream(t, kind, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
						_ = http.NewResponseController(w).EnableFullDuplex()
						http.NewResponseController(w).Flush()
						for path == "/flood" {
							if _, err := w.Write(make([]byte, 1<<16)); err != nil {
								return
							}
						}
						_, _ = io.Copy(io.Discard, r.Body)
					}))
					expire := make(chan context.CancelCauseFunc, 1)
					f := startFrontWith(t, target, options, func(next http.Handler) http.Handler {
						return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
							ctx, cancel := context.WithCancelCause(r.Context())
							expire <- cancel
							next.ServeHTTP(w, r.WithContext(ctx))
						})
					})
					reader, writer := io.Pipe()
					defer writer.Close()
					response := f.do(t, version, newRequest(t, "POST", f.url(path), reader))
					cancel := <-expire
					cancel(context.DeadlineExceeded)
					if o := f.failed(t); o.cause != culvertv1.Cause_CAUSE_CANCELED && o.cause != late {
						t.Errorf("%v: %v", o.cause, o.err)
					}
					writer.Close()
					if _, err := io.Copy(io.Discard, response.Body); err == nil {
						t.Error("the client saw a complete response")
					}
				})
			}
		}
	}
}

// TestEarlyAnswerThenReset has an upstream that answers, closes and resets while
// the request is still being written. What it said must not be lost.
func TestEarlyAnswerThenReset(t *testing.T) {
	address := startRaw(t, func(conn net.Conn) {
		if _, err := http.ReadRequest(bufio.NewReader(conn)); err != nil {
			return
		}
		// The rest of the request is unread: closing resets.
		_, _ = io.WriteString(conn, "HTTP/1.1 413 Too Large\r\nContent-Length: 6\r\nConnection: close\r\n\r\nenough")
	})
	f := startFront(t, "http://"+address, Options{})
	for i := range 50 {
		body := endlessBody()
		if i%2 == 0 {
			body = strings.NewReader(strings.Repeat("x", 1<<20))
		}
		response := f.do(t, "h2", newRequest(t, "POST", f.url("/"), body))
		if got := readAll(t, response.Body); got != "enough" || response.StatusCode != http.StatusRequestEntityTooLarge {
			t.Fatalf("status %d, body %q", response.StatusCode, got)
		}
	}
}

// TestStalledReaders has clients that stop reading. Others go on.
func TestStalledReaders(t *testing.T) {
	for _, kind := range []string{"http", "h2c"} {
		t.Run(kind, func(t *testing.T) {
			f := startFront2(t, kind, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/small" {
					_, _ = io.WriteString(w, "small")
					return
				}
				for range 64 {
					if _, err := w.Write(make([]byte, 1<<20)); err != nil {
						return
					}
				}
			}))
			for range 40 {
				conn, err := net.Dial("tcp", f.address)
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = conn.Close() })
				fmt.Fprintf(conn, "GET /large HTTP/1.1\r\nHost: a\r\n\r\n")
				if _, err := conn.Read(make([]byte, 1)); err != nil {
					t.Fatal(err)
				}
			}
			if got := readAll(t, f.do(t, "h1", newRequest(t, "GET", f.url("/small"), nil)).Body); got != "small" {
				t.Errorf("body %q", got)
			}
		})
	}
}

// TestPanickingWriter has an outer handler's writer panic, while the request is
// still being read. Nothing stays behind, as goleak says.
func TestPanickingWriter(t *testing.T) {
	for _, kind := range []string{"http", "h2c"} {
		for _, version := range []string{"h1", "h2"} {
			target, options := startUpstream(t, kind, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_ = http.NewResponseController(w).EnableFullDuplex()
				_, _ = io.WriteString(w, "x")
				_ = http.NewResponseController(w).Flush()
				_, _ = io.Copy(io.Discard, r.Body)
			}))
			reader, writer := io.Pipe()
			f := startFrontWith(t, target, options, func(next http.Handler) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					// net/http's client for HTTP/1.1 reports nothing before its request ends.
					defer writer.CloseWithError(io.ErrClosedPipe)
					next.ServeHTTP(panickingWriter{w}, r)
				})
			})
			response, err := f.client(version).Do(newRequest(t, "POST", f.url("/"), io.MultiReader(strings.NewReader("x"), reader)))
			if err == nil {
				_, err = io.ReadAll(response.Body)
				_ = response.Body.Close()
			}
			if err == nil {
				t.Error("the client saw a complete response")
			}
		}
	}
}

type panickingWriter struct{ http.ResponseWriter }

func (panickingWriter) Write([]byte) (int, error)     { panic(http.ErrAbortHandler) }
func (w panickingWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
