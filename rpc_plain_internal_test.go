package culvert

import (
	"bytes"
	"encoding/binary"
	"io"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	culvertv1 "github.com/culvert-http/culvert/api/culvert/v1"
	"github.com/culvert-http/culvert/internal/wire"
)

// lastWriter is a ResponseWriter that tells when something was written and flushed.
type lastWriter struct {
	header http.Header
	body   bytes.Buffer
	sent   chan struct{}
}

func (w *lastWriter) Header() http.Header             { return w.header }
func (w *lastWriter) WriteHeader(int)                 {}
func (w *lastWriter) Write(p []byte) (int, error)     { return w.body.Write(p) }
func (w *lastWriter) SetReadDeadline(time.Time) error { return nil }

func (w *lastWriter) Flush() {
	if w.body.Len() > 0 && w.sent != nil {
		close(w.sent)
		w.sent = nil
	}
}

// A client that half-closes when it has the response gets it at once, unless there
// are others whom waiting serves.
func TestResponseIsNotHeldBackAlone(t *testing.T) {
	for name, others := range map[string]int{"alone": 0, "with others": 1} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				_, handler := NewHandler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
				handler.admission.running = others
				message := wire.AppendRequest(make([]byte, envelopePrefix), &culvertv1.RequestFrame{
					Head: &culvertv1.RequestHead{Authority: "a"}, End: true,
				})
				binary.BigEndian.PutUint32(message[1:], uint32(len(message)-envelopePrefix))
				requests, client := io.Pipe()
				r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://a/"+ServiceName+"/Exchange", requests)
				if err != nil {
					t.Fatal(err)
				}
				r.ProtoMajor, r.ProtoMinor = 2, 0
				r.Header.Set("Content-Type", "application/grpc")
				sent := make(chan struct{})
				w := &lastWriter{header: http.Header{}, sent: sent}
				served := make(chan struct{})
				go func() {
					defer close(served)
					handler.ServeHTTP(w, r)
				}()
				begin := time.Now()
				if _, err := client.Write(message); err != nil {
					t.Fatal(err)
				}
				<-sent
				if waited := time.Since(begin) > 0; waited != (others > 0) {
					t.Errorf("the response was there after %v", time.Since(begin))
				}
				_ = client.Close()
				<-served
				if status := w.header[trailerOfStatus]; len(status) != 1 || status[0] != "0" {
					t.Errorf("the RPC ended with %q", w.header)
				}
			})
		})
	}
}
