package culvert_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"strings"
	"testing"
	"time"

	"github.com/culvert-http/culvert"
	culvertv1 "github.com/culvert-http/culvert/api/culvert/v1"
)

// await fails the test if nothing comes.
func await[T any](tb testing.TB, what string, from <-chan T) T {
	tb.Helper()
	select {
	case value := <-from:
		return value
	case <-time.After(10 * time.Second):
		tb.Fatalf("%s: nothing came", what)
		panic("not reached")
	}
}

func TestTransportIsFullDuplex(t *testing.T) {
	app := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).Flush()
		buf := make([]byte, 100)
		for {
			n, err := r.Body.Read(buf)
			fmt.Fprintf(w, "<%s>", buf[:n])
			_ = http.NewResponseController(w).Flush()
			if err != nil {
				return
			}
		}
	})
	for _, protocol := range protocols {
		t.Run(protocol.String(), func(t *testing.T) {
			r := newRig(t, app, culvert.WithProtocol(protocol))
			body, write := io.Pipe()
			resp := r.do(t, newRigRequest(t, http.MethodPost, "/", body))
			buf := make([]byte, 100)
			for _, message := range []string{"one", "two", "three"} {
				if _, err := io.WriteString(write, message); err != nil {
					t.Fatal(err)
				}
				want := "<" + message + ">"
				if _, err := io.ReadFull(resp.Body, buf[:len(want)]); err != nil || string(buf[:len(want)]) != want {
					t.Fatalf("got %q, %v; want %q", buf[:len(want)], err, want)
				}
			}
			_ = write.Close()
			if got := readBody(t, resp); got != "<>" {
				t.Errorf("at the end: %q", got)
			}
		})
	}
}

// endlessBody gives bytes until it is closed, and says when that is.
type endlessBody struct{ closed chan struct{} }

func newEndlessBody() *endlessBody { return &endlessBody{make(chan struct{})} }

func (b *endlessBody) Read(p []byte) (int, error) {
	select {
	case <-b.closed:
		return 0, errors.New("read of a closed body")
	default:
		return len(p), nil
	}
}

func (b *endlessBody) Close() error {
	close(b.closed)
	return nil
}

// silentBody gives nothing until it is closed.
type silentBody struct{ endlessBody }

func newSilentBody() *silentBody { return &silentBody{endlessBody{make(chan struct{})}} }

func (b *silentBody) Read([]byte) (int, error) {
	<-b.closed
	return 0, errors.New("read of a closed body")
}

func TestTransportStopsAnUploadThatIsAnswered(t *testing.T) {
	app := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "too much", http.StatusRequestEntityTooLarge)
	})
	for _, w := range ways() {
		t.Run(w.String(), func(t *testing.T) {
			r := w.newRig(t, app)
			if !w.streamsRequest() {
				t.Skip("does not stream requests")
			}
			body := newEndlessBody()
			resp := r.do(t, newRigRequest(t, http.MethodPut, "/", body))
			if got := readBody(t, resp); resp.StatusCode != http.StatusRequestEntityTooLarge || got != "too much\n" {
				t.Errorf("got %d %q", resp.StatusCode, got)
			}
			await(t, "close of the body", body.closed)
		})
	}
}

func TestTransportStopsASilentUploadThatIsAnswered(t *testing.T) {
	app := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
	for _, protocol := range protocols {
		t.Run(protocol.String(), func(t *testing.T) {
			r := newRig(t, app, culvert.WithProtocol(protocol))
			body := newSilentBody()
			readBody(t, r.do(t, newRigRequest(t, http.MethodPut, "/", body)))
			await(t, "close of the body", body.closed)
		})
	}
}

// Wherever an exchange is when it is given up.
func TestTransportCancelReleasesBothSides(t *testing.T) {
	for _, stage := range []string{"before the head", "in the body", "in the upload", "in a silent upload"} {
		t.Run(stage, func(t *testing.T) {
			began, released := make(chan struct{}, 1), make(chan error, 1)
			app := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if stage == "in the body" {
					_ = http.NewResponseController(w).Flush()
				}
				began <- struct{}{}
				if strings.Contains(stage, "upload") {
					_, _ = io.Copy(io.Discard, r.Body)
				}
				<-r.Context().Done()
				released <- r.Context().Err()
			})
			for _, w := range ways() {
				t.Run(w.String(), func(t *testing.T) {
					r := w.newRig(t, app)
					if strings.Contains(stage, "upload") && !w.streamsRequest() || stage == "in the body" && !w.streamsResponse() {
						t.Skip("does not stream that way")
					}
					if w.unwatched() {
						t.Skip("the server does not see that the client is gone")
					}
					ctx, cancel := context.WithCancelCause(t.Context())
					defer cancel(nil)
					var body io.Reader
					var closed chan struct{}
					switch stage {
					case "in the upload":
						endless := newEndlessBody()
						body, closed = endless, endless.closed
					case "in a silent upload":
						silent := newSilentBody()
						body, closed = silent, silent.closed
					}
					req := newRigRequest(t, http.MethodPost, "/", body).WithContext(ctx)
					reason := errors.New("enough")
					go func() {
						<-began
						cancel(reason)
					}()
					resp, err := r.transport.RoundTrip(req)
					if err == nil {
						_, err = io.ReadAll(resp.Body)
						_ = resp.Body.Close()
					}
					var tunnelErr *culvert.Error
					if !errors.Is(err, context.Canceled) || !errors.Is(err, reason) || !errors.As(err, &tunnelErr) ||
						tunnelErr.Cause != culvertv1.Cause_CAUSE_CANCELED {
						t.Errorf("error %v", err)
					}
					_ = await(t, "end of the handler", released)
					if closed != nil {
						await(t, "close of the body", closed)
					}
				})
			}
		})
	}
}

func TestTransportDeadlineIsTheApplications(t *testing.T) {
	deadlines, release := make(chan bool, 1), make(chan struct{})
	app := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/connect" {
			return
		}
		_, ok := r.Context().Deadline()
		deadlines <- ok
		<-release // later than the deadline at either end
	})
	for _, w := range ways() {
		t.Run(w.String(), func(t *testing.T) {
			r := w.newRig(t, app)
			readBody(t, r.get(t, "/connect")) // takes time of its own
			ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
			defer cancel()
			resp, err := r.transport.RoundTrip(newRigRequest(t, http.MethodGet, "/", nil).WithContext(ctx))
			if err == nil {
				_ = resp.Body.Close()
			}
			var timeout interface{ Timeout() bool }
			if !errors.Is(err, context.DeadlineExceeded) || !errors.As(err, &timeout) || !timeout.Timeout() {
				t.Errorf("error %v", err)
			}
			if !await(t, "the handler", deadlines) {
				t.Error("the application had no deadline")
			}
			release <- struct{}{}
		})
	}
}

func TestTransportCloseOfABodyCancels(t *testing.T) {
	released := make(chan struct{}, 1)
	app := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, "some")
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
		released <- struct{}{}
	})
	for _, protocol := range protocols {
		t.Run(protocol.String(), func(t *testing.T) {
			r := newRig(t, app, culvert.WithProtocol(protocol))
			resp := r.get(t, "/")
			if _, err := io.ReadFull(resp.Body, make([]byte, 4)); err != nil {
				t.Fatal(err)
			}
			reading := make(chan error, 1)
			go func() {
				_, err := resp.Body.Read(make([]byte, 1))
				reading <- err
			}()
			if err := resp.Body.Close(); err != nil {
				t.Error(err)
			}
			await(t, "end of the handler", released)
			if err := await(t, "end of the reading", reading); err == nil || errors.Is(err, io.EOF) {
				t.Errorf("blocked read: %v", err)
			}
			if _, err := resp.Body.Read(make([]byte, 1)); !errors.Is(err, http.ErrBodyReadAfterClose) {
				t.Errorf("read after close: %v", err)
			}
		})
	}
}

func TestTransportRequestBodyFails(t *testing.T) {
	bodyErr := errors.New("disk on fire")
	app := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(io.Discard, r.Body); err == nil {
			t.Error("the application saw a complete body")
		}
	})
	for _, w := range ways() {
		t.Run(w.String(), func(t *testing.T) {
			r := w.newRig(t, app)
			for name, body := range map[string]io.Reader{
				"error": io.MultiReader(strings.NewReader("half"), errorReader{bodyErr}),
				"short": opaque{strings.NewReader("half")},
				"long":  opaque{strings.NewReader("longer than that")},
			} {
				req := newRigRequest(t, http.MethodPost, "/", body)
				if name != "error" {
					req.ContentLength = 10
				}
				resp, err := r.transport.RoundTrip(req)
				if err == nil {
					_, err = io.ReadAll(resp.Body)
					_ = resp.Body.Close()
				}
				if err == nil || name == "error" && !errors.Is(err, bodyErr) {
					t.Errorf("%s: error %v", name, err)
				}
			}
		})
	}
}

type errorReader struct{ err error }

func (r errorReader) Read([]byte) (int, error) { return 0, r.err }

func TestTransportShowsInterimResponses(t *testing.T) {
	app := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Link", "</a>")
		w.WriteHeader(http.StatusEarlyHints)
		w.Header().Set("Link", "</b>")
		w.WriteHeader(http.StatusProcessing)
		w.Header().Del("Link")
		fmt.Fprint(w, "done")
	})
	for _, w := range ways() {
		t.Run(w.String(), func(t *testing.T) {
			r := w.newRig(t, app)
			var got []string
			trace := &httptrace.ClientTrace{
				Got1xxResponse: func(code int, header textproto.MIMEHeader) error {
					got = append(got, fmt.Sprint(code, header.Get("Link")))
					return nil
				},
				Got100Continue:       func() { t.Error("100 Continue") },
				GotFirstResponseByte: func() { got = append(got, "first byte") },
			}
			req := newRigRequest(t, http.MethodGet, "/", nil)
			resp := r.do(t, req.WithContext(httptrace.WithClientTrace(req.Context(), trace)))
			if body := readBody(t, resp); body != "done" {
				t.Errorf("body %q", body)
			}
			if want := "[first byte 103</a> 102</b>]"; fmt.Sprint(got) != want {
				t.Errorf("got %v, want %v", got, want)
			}
		})
	}
}

func TestTransportHookEndsTheExchange(t *testing.T) {
	hookErr := errors.New("no hints, please")
	app := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusEarlyHints)
		<-r.Context().Done()
	})
	r := newRig(t, app)
	req := newRigRequest(t, http.MethodGet, "/", nil)
	ctx := httptrace.WithClientTrace(req.Context(), &httptrace.ClientTrace{
		Got1xxResponse: func(int, textproto.MIMEHeader) error { return hookErr },
	})
	resp, err := r.transport.RoundTrip(req.WithContext(ctx))
	if err == nil {
		_ = resp.Body.Close()
	}
	if !errors.Is(err, hookErr) {
		t.Errorf("error %v", err)
	}
}

func TestTransportBoundsInterimResponses(t *testing.T) {
	app := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			w.WriteHeader(http.StatusProcessing)
		}
	})
	r := newRig(t, app)
	resp, err := r.transport.RoundTrip(newRigRequest(t, http.MethodGet, "/", nil))
	if err == nil {
		_ = resp.Body.Close()
	}
	wantCause(t, err, culvertv1.Cause_CAUSE_RESPONSE_TOO_LARGE)
}

func wantCause(tb testing.TB, err error, cause culvertv1.Cause) {
	tb.Helper()
	var tunnelErr *culvert.Error
	if !errors.As(err, &tunnelErr) || tunnelErr.Cause != cause {
		tb.Errorf("error %v, want cause %v", err, cause)
	}
}

func TestTransportHoldsTheBodyBackUntilAContinue(t *testing.T) {
	asked := make(chan struct{})
	app := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/no" {
			w.WriteHeader(http.StatusExpectationFailed)
			return
		}
		<-asked
		_, _ = io.Copy(w, r.Body)
	})
	for _, protocol := range protocols {
		t.Run(protocol.String(), func(t *testing.T) {
			r := newRig(t, app, culvert.WithProtocol(protocol))
			asked = make(chan struct{})
			continued, waited := false, make(chan struct{})
			trace := &httptrace.ClientTrace{
				Wait100Continue: func() { close(waited) },
				Got100Continue:  func() { continued = true },
			}
			body := &closeRecorder{Reader: strings.NewReader("hello")}
			read := &readRecorder{ReadCloser: body, first: make(chan struct{})}
			req := newRigRequest(t, http.MethodPut, "/", read)
			req.Header.Set("Expect", "100-Continue")
			req.ContentLength = 5
			go func() {
				<-waited
				if read.wasRead() {
					t.Error("the body was read before a 100")
				}
				close(asked)
			}()
			got := readBody(t, r.do(t, req.WithContext(httptrace.WithClientTrace(req.Context(), trace))))
			if got != "hello" || !continued {
				t.Errorf("got %q, continued %v", got, continued)
			}

			body = &closeRecorder{Reader: strings.NewReader("hello")}
			read = &readRecorder{ReadCloser: body, first: make(chan struct{})}
			req = newRigRequest(t, http.MethodPut, "/no", read)
			req.Header.Set("Expect", "100-continue")
			if resp := r.do(t, req); resp.StatusCode != http.StatusExpectationFailed || read.wasRead() {
				t.Errorf("status %d, body read %v", resp.StatusCode, read.wasRead())
			}
			if !body.closed.Load() {
				t.Error("body is not closed")
			}
		})
	}
}
