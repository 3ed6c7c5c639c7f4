package clients

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	culvertv1 "github.com/culvert-http/culvert/api/culvert/v1"
)

// app is what is behind the tunnel.
func app() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/hello", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Name", r.URL.Query().Get("name"))
		fmt.Fprintf(w, "hello %s\n", r.URL.Query().Get("name"))
	})
	mux.HandleFunc("POST /echo", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", r.Header.Get("Content-Type"))
		w.Header().Set("Trailer", "X-Sum")
		n, err := io.Copy(w, r.Body)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		w.Header().Set("X-Sum", fmt.Sprint(n))
	})
	mux.HandleFunc("/duplex", duplex)
	mux.HandleFunc("/binary", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte{0, 1, 0xff})
	})
	mux.HandleFunc("/early", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Link", "</a.css>; rel=preload")
		w.WriteHeader(http.StatusEarlyHints)
		w.WriteHeader(http.StatusAccepted)
	})
	mux.HandleFunc("/cut", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "half")
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	})
	return mux
}

// duplex answers what it reads as soon as it has read it.
func duplex(w http.ResponseWriter, r *http.Request) {
	flush := http.NewResponseController(w).Flush
	_ = flush()
	buffer := make([]byte, 1<<10)
	for {
		n, err := r.Body.Read(buffer)
		_, _ = w.Write(buffer[:n])
		_ = flush()
		if err != nil {
			return
		}
	}
}

// valueOf returns the values of a field, joined.
func valueOf(fields []*culvertv1.Field, name string) string {
	var values []string
	for _, field := range fields {
		if strings.EqualFold(field.GetName(), name) {
			values = append(values, field.GetValue())
		}
	}
	return strings.Join(values, ", ")
}

// join makes one response of frames.
func join(tb testing.TB, frames []*culvertv1.ResponseFrame) *culvertv1.HTTPResponse {
	tb.Helper()
	response := &culvertv1.HTTPResponse{}
	for i, frame := range frames {
		response.Informational = append(response.Informational, frame.GetInformational()...)
		if head := frame.GetHead(); head != nil {
			response.Status, response.Headers = head.GetStatus(), head.GetHeaders()
		}
		response.Body = append(response.Body, frame.GetData()...)
		response.Trailers = frame.GetTrailers()
		if last := i == len(frames)-1; frame.GetEnd() != last {
			tb.Fatalf("frame %d of %d: end is %v", i, len(frames), frame.GetEnd())
		}
	}
	return response
}
