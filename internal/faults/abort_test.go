package faults

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/culvert-http/culvert"
)

// Of many calls by all methods over shared connections, half are given up
// wherever they happen to be. The others are whole, and nothing stays behind.
func TestHalfOfTheCallsAreAborted(t *testing.T) {
	holdResources(t)
	app := &echoApp{}
	s := newServer(t, app, "")
	var transports []*culvert.Transport
	for _, w := range ways(culvert.MethodSession, culvert.MethodExchange, culvert.MethodUpload, culvert.MethodDownload, culvert.MethodCall) {
		transports = append(transports, newTransport(t, s.address, w.options()...))
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	var counts [3]atomic.Int64
	var wg sync.WaitGroup
	numbers := make(chan int)
	for range 32 {
		wg.Go(func() {
			for n := range numbers {
				c := newCall(rand.New(rand.NewPCG(seed, uint64(n))), n%2 == 0)
				end, err := c.run(transports[n/2%len(transports)])
				if err != nil {
					t.Errorf("call %d, %s: %v", n, c, err)
				}
				counts[end].Add(1)
			}
		})
	}
	for n := range mixedCalls {
		numbers <- n
	}
	close(numbers)
	wg.Wait()
	app.check(t)
	t.Logf("%d calls: %d whole, %d aborted before the response's head, %d in its body",
		mixedCalls, counts[endWhole].Load(), counts[endHead].Load(), counts[endBody].Load())
	if counts[endHead].Load() == 0 || counts[endBody].Load() == 0 {
		t.Error("calls were aborted in one place only")
	}
}

// end is where a call ended.
type end int

const (
	endWhole end = iota
	endHead
	endBody
)

// call is an echo, and where it is given up: when the request was read to some
// byte, or the response, by its context or by a close.
type call struct {
	body      []byte
	aborts    bool
	ofRequest bool
	closes    bool // instead of cancelling
	at        int
}

func newCall(random *rand.Rand, aborts bool) *call {
	size := 1 + random.IntN(1<<(4+random.IntN(13))) // of all orders up to 64 KiB
	c := &call{body: payload(size), aborts: aborts, at: random.IntN(size)}
	if aborts {
		c.ofRequest, c.closes = random.IntN(2) == 0, random.IntN(4) == 0
	}
	return c
}

func (c *call) String() string {
	return fmt.Sprintf("%d bytes, aborted %v at %d (of the request %v, by a close %v)",
		len(c.body), c.aborts, c.at, c.ofRequest, c.closes)
}

// run makes the call and reports what is wrong with how it ended.
func (c *call) run(transport http.RoundTripper) (end, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	req := newEchoRequest(ctx, c.body)
	if c.aborts && c.ofRequest {
		req.Body = io.NopCloser(io.MultiReader(bytes.NewReader(c.body[:c.at]), &hook{cancel}, bytes.NewReader(c.body[c.at:])))
	}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return endHead, c.check(err)
	}
	defer resp.Body.Close()
	if c.aborts && !c.ofRequest {
		if n, err := io.CopyN(io.Discard, resp.Body, int64(c.at)); err != nil {
			return endBody, fmt.Errorf("after %d bytes: %w", n, err)
		}
		if c.closes {
			return endBody, resp.Body.Close()
		}
		cancel()
	}
	got, err := io.ReadAll(resp.Body)
	if err != nil {
		return endBody, c.check(err)
	}
	whole := c.body
	if c.aborts && !c.ofRequest {
		whole = whole[c.at:]
	}
	if !bytes.Equal(got, whole) || resp.Trailer.Get(trailerSum) != req.Header.Get(trailerSum) {
		return endWhole, fmt.Errorf("a clean end after %d of %d bytes, with trailers %v", len(got), len(whole), resp.Trailer)
	}
	return endWhole, nil
}

// check allows for the errors of a call that its own caller gave up.
func (c *call) check(err error) error {
	_, typed := errors.AsType[*culvert.Error](err)
	switch {
	case !c.aborts:
		return fmt.Errorf("an error of a call that was not aborted: %w", err)
	case !errors.Is(err, context.Canceled):
		return fmt.Errorf("not a cancellation: %T %w", err, err)
	case !typed:
		return fmt.Errorf("not a *culvert.Error: %T %w", err, err)
	}
	return nil
}

// hook calls a function when it is read from, and has nothing to read.
type hook struct{ call func() }

func (h *hook) Read([]byte) (int, error) {
	h.call()
	return 0, io.EOF
}
