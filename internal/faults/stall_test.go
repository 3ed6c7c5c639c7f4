package faults

import (
	"context"
	"errors"
	"io"
	"net/http"
	"testing"

	"github.com/culvert-http/culvert"
)

// Readers that stop, one at each end, hold up nobody but the one who sends to
// them, who is freed when the exchange is given up.
func TestReaderStops(t *testing.T) {
	for _, w := range duplexWays() {
		t.Run(w.String(), func(t *testing.T) {
			holdResources(t)
			began, freed := make(chan struct{}, 2), make(chan struct{}, 2)
			app := &echoApp{}
			mux := http.NewServeMux()
			mux.Handle("/", app)
			mux.HandleFunc("/pour", func(w http.ResponseWriter, _ *http.Request) {
				began <- struct{}{}
				chunk := payload(64 << 10)
				for {
					if _, err := w.Write(chunk); err != nil {
						freed <- struct{}{}
						return
					}
				}
			})
			mux.HandleFunc("/ignore", func(w http.ResponseWriter, r *http.Request) {
				_ = http.NewResponseController(w).Flush()
				began <- struct{}{}
				<-r.Context().Done()
				freed <- struct{}{}
			})
			s := newServer(t, mux, "")
			transport := newTransport(t, s.address, w.options()...)

			pour := start(t, transport, "/pour", nil)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			ignore, err := transport.RoundTrip(newRequest(ctx, "/ignore", struct{ io.Reader }{zeros{}}))
			if err != nil {
				t.Fatal(err)
			}
			await(t, "handler", began)
			await(t, "handler", began)
			body := payload(300_000) // more than a window of an exchange
			for range 20 {
				ctx, cancel := context.WithTimeout(t.Context(), patience)
				if _, err, wrong := echo(newEchoRequest(ctx, body), transport, body); err != nil || wrong != nil {
					t.Errorf("another exchange: %v, %v", err, wrong)
				}
				cancel()
			}
			_ = pour.Body.Close()
			await(t, "handler that writes", freed)
			cancel()
			await(t, "handler that does not read", freed)
			_, err = io.Copy(io.Discard, ignore.Body)
			_ = ignore.Body.Close()
			if _, ok := errors.AsType[*culvert.Error](err); !ok || !errors.Is(err, context.Canceled) {
				t.Errorf("error %T %v", err, err)
			}
			app.check(t)
		})
	}
}

// zeros is a body without end.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}
