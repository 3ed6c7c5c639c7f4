package faults

import (
	"bytes"
	"context"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"sync/atomic"
	"testing"
)

// trailerSum is the trailer by which a response is known to be whole.
const trailerSum = "X-Sum"

// echoApp answers each request with its own body as it comes, and its sum in a
// trailer. It notes what of a request looked whole and was not.
type echoApp struct {
	running atomic.Int64
	partial atomic.Int64
}

func (a *echoApp) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.running.Add(1)
	defer a.running.Add(-1)
	sum := crc32.NewIEEE()
	buffer := make([]byte, 512)
	flush := http.NewResponseController(w)
	for {
		n, err := r.Body.Read(buffer)
		_, _ = sum.Write(buffer[:n])
		if _, writeErr := w.Write(buffer[:n]); writeErr != nil {
			panic(http.ErrAbortHandler)
		}
		_ = flush.Flush()
		if err == io.EOF {
			break
		}
		if err != nil {
			panic(http.ErrAbortHandler)
		}
	}
	text := fmt.Sprint(sum.Sum32())
	if r.Header.Get(trailerSum) != text {
		a.partial.Add(1)
	}
	w.Header().Set(http.TrailerPrefix+trailerSum, text)
}

// newEchoRequest returns a request whose body is streamed.
func newEchoRequest(ctx context.Context, body []byte) *http.Request {
	req := newRequest(ctx, "/", struct{ io.Reader }{bytes.NewReader(body)})
	req.Header.Set(trailerSum, fmt.Sprint(crc32.ChecksumIEEE(body)))
	return req
}

// echo sends a body and reads it back. It reports where the exchange was when it
// failed, and whether what came whole is right.
func echo(req *http.Request, transport http.RoundTripper, want []byte) (ofBody bool, err error, wrong error) {
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return false, err, nil
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if err != nil {
		return true, err, nil
	}
	if !bytes.Equal(got, want) || resp.Trailer.Get(trailerSum) != req.Header.Get(trailerSum) {
		return true, nil, fmt.Errorf("a clean end after %d of %d bytes, with trailers %v", len(got), len(want), resp.Trailer)
	}
	return true, nil, nil
}

// payload returns n bytes that do not repeat.
func payload(n int) []byte {
	body := make([]byte, n)
	state := uint32(1)
	for i := range body {
		state = state*1664525 + 1013904223
		body[i] = byte(state >> 24)
	}
	return body
}

func (a *echoApp) check(tb testing.TB) {
	tb.Helper()
	eventually(tb, "end of all handlers", func() bool { return a.running.Load() == 0 })
	if n := a.partial.Load(); n != 0 {
		tb.Errorf("%d requests looked whole to the application and were not", n)
	}
}
