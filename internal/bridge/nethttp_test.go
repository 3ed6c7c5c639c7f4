package bridge

import (
	"errors"
	"io"
	"log/slog"
	"net/http"
	"testing"

	culvertv1 "github.com/culvert-http/culvert/api/culvert/v1"
)

// TestWriteBeyondContentLength checks that what a handler writes beyond its
// Content-Length is an error to it and to nobody else: the response is whole.
func TestWriteBeyondContentLength(t *testing.T) {
	t.Parallel()
	response := serveWhole(t, &culvertv1.RequestHead{}, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "5")
		_, _ = io.WriteString(w, "hello")
		if _, err := io.WriteString(w, " world"); !errors.Is(err, http.ErrContentLength) {
			t.Errorf("write beyond the length: %v", err)
		}
	})
	if got := string(response.GetBody()); got != "hello" {
		t.Errorf("body %q", got)
	}
}

// TestInvalidContentLength checks that an invalid Content-Length is replaced in
// HTTP/2 and left out in HTTP/1.1, as net/http's servers do.
func TestInvalidContentLength(t *testing.T) {
	t.Parallel()
	for version, want := range map[culvertv1.HTTPVersion]string{
		culvertv1.HTTPVersion_HTTP_VERSION_1_1: "",
		culvertv1.HTTPVersion_HTTP_VERSION_2_0: "5",
	} {
		response := serveWhole(t, &culvertv1.RequestHead{HttpVersion: version}, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "many")
			_, _ = io.WriteString(w, "hello")
		})
		got := ""
		for _, field := range response.GetHeaders() {
			if field.GetName() == "Content-Length" {
				got += field.GetValue()
			}
		}
		if got != want {
			t.Errorf("%v: Content-Length %q, want %q", version, got, want)
		}
	}
}

// TestHeadHasNoTrailers checks that a response to HEAD ends with its head.
func TestHeadHasNoTrailers(t *testing.T) {
	t.Parallel()
	response := serveWhole(t, &culvertv1.RequestHead{Method: http.MethodHead}, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set(http.TrailerPrefix+"X-Sum", "5")
		_, _ = io.WriteString(w, "hello")
	})
	if trailers := response.GetTrailers(); len(trailers) > 0 {
		t.Errorf("trailers %v", trailers)
	}
}

// TestReadNothingAtEnd checks that an empty read tells that the body has ended.
func TestReadNothingAtEnd(t *testing.T) {
	t.Parallel()
	serveWhole(t, &culvertv1.RequestHead{Method: http.MethodPost}, func(_ http.ResponseWriter, r *http.Request) {
		if n, err := r.Body.Read(nil); n != 0 || err != nil {
			t.Errorf("before the end: %d, %v", n, err)
		}
		_, _ = io.ReadAll(r.Body)
		if n, err := r.Body.Read(nil); n != 0 || !errors.Is(err, io.EOF) {
			t.Errorf("after the end: %d, %v", n, err)
		}
	})
}

// serveWhole serves a request with the body "hi", and returns the response.
func serveWhole(tb testing.TB, head *culvertv1.RequestHead, handler http.HandlerFunc) *culvertv1.HTTPResponse {
	tb.Helper()
	collected := NewWholeResponse(1 << 10)
	stream := struct {
		*WholeRequest
		*WholeResponse
	}{NewWholeRequest(&culvertv1.RequestFrame{Head: head, Data: []byte("hi")}), collected}
	server := &Server{
		Handler: handler,
		Limits:  Limits{HeadBytes: 1 << 10, Fields: 10},
		MaxBody: 1 << 10,
		Logger:  slog.New(slog.DiscardHandler),
	}
	result := server.Serve(tb.Context(), stream, &Origin{Authority: "a.test", Whole: true})
	if result.Err != nil {
		tb.Fatalf("serve: %v", result.Err)
	}
	return collected.Response(false)
}
