package culvert_test

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/culvert-http/culvert"
)

// neighbours is how many exchanges of a session run at once in these benchmarks.
const neighbours = 100

// BenchmarkNeighbours shows what one exchange does to the others of its session:
// their 99th percentile alone, beside one whose response nobody reads, and beside
// an upload without end.
func BenchmarkNeighbours(b *testing.B) {
	for _, neighbour := range []struct {
		name  string
		start func(*rig) (stop func())
	}{
		{"alone", func(*rig) func() { return func() {} }},
		{"stalled", startStalled},
		{"upload", startUpload},
	} {
		b.Run(neighbour.name, func(b *testing.B) {
			r := newRig(b, neighbourApp(), culvert.WithMethod(culvert.MethodSession))
			stop := neighbour.start(r)
			defer stop()
			reportPercentiles(b, smallExchanges(b, r))
		})
	}
}

func neighbourApp() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /small", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello world") })
	mux.HandleFunc("GET /endless", func(w http.ResponseWriter, _ *http.Request) {
		for piece := make([]byte, 64<<10); ; {
			if _, err := w.Write(piece); err != nil {
				return
			}
		}
	})
	mux.HandleFunc("POST /upload", func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) })
	return mux
}

// startStalled begins a response that is not read.
func startStalled(r *rig) (stop func()) {
	response, err := r.client.Get(rigURL + "/endless") //nolint:bodyclose,noctx // closed by stop
	if err != nil {
		panic(err)
	}
	return func() { _ = response.Body.Close() }
}

// startUpload begins a request that does not end.
func startUpload(r *rig) (stop func()) {
	reader, writer := io.Pipe()
	var ended sync.WaitGroup
	ended.Go(func() {
		response, err := r.client.Post(rigURL+"/upload", "", reader) //nolint:noctx // ends with the pipe
		if err == nil {
			_ = response.Body.Close()
		}
	})
	ended.Go(func() {
		for piece := make([]byte, 64<<10); ; {
			if _, err := writer.Write(piece); err != nil {
				return
			}
		}
	})
	return func() {
		_ = reader.CloseWithError(io.ErrClosedPipe)
		ended.Wait()
	}
}

// smallExchanges makes b.N exchanges and returns how long each took.
func smallExchanges(b *testing.B, r *rig) []time.Duration {
	b.Helper()
	var mu sync.Mutex
	var all []time.Duration
	jobs := make(chan struct{})
	var workers sync.WaitGroup
	for range neighbours - 1 {
		workers.Go(func() {
			for range jobs {
				began := time.Now()
				if err := smallExchange(r); err != nil {
					b.Error(err)
				}
				took := time.Since(began)
				mu.Lock()
				all = append(all, took)
				mu.Unlock()
			}
		})
	}
	for b.Loop() {
		jobs <- struct{}{}
	}
	close(jobs)
	workers.Wait()
	return all
}

func smallExchange(r *rig) error {
	response, err := r.client.Get(rigURL + "/small") //nolint:noctx // what is measured
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err == nil && len(body) != len("hello world") {
		err = fmt.Errorf("body of %d bytes", len(body))
	}
	return err
}

func reportPercentiles(b *testing.B, all []time.Duration) {
	b.Helper()
	slices.Sort(all)
	b.ReportMetric(float64(all[len(all)/2].Microseconds()), "p50-µs")
	b.ReportMetric(float64(all[len(all)*99/100].Microseconds()), "p99-µs")
}
