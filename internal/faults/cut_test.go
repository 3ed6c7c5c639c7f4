package faults

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/culvert-http/culvert"
)

// minExchange is the least that a recorded exchange has on the wire, in bytes of
// both directions.
const minExchange = 4 << 10

// Wherever a connection is cut, in either direction, neither end takes what came
// for the whole, and exchanges on other connections notice nothing.
func TestCutAtEveryByte(t *testing.T) {
	holdResources(t)
	app := &echoApp{}
	s := newServer(t, app, "")
	total := 0
	stop := bystand(t, s)
	for _, w := range duplexWays() {
		t.Run(w.String(), func(t *testing.T) { total += newCuts(t, s, w).run(t) })
	}
	stop()
	app.check(t)
	t.Logf("%d cuts in all", total)
}

// cuts is a recorded exchange and where it is cut.
type cuts struct {
	server *server
	way    way
	body   []byte
	size   [2]int // of the recorded exchange
	whole  atomic.Int64
}

// newCuts records an exchange that nothing cuts.
func newCuts(t *testing.T, s *server, w way) *cuts {
	t.Helper()
	c := &cuts{server: s, way: w, body: payload(1850)}
	r := newRelay(t, s.address)
	if failed, err := c.try(r, up, -1); failed || err != nil {
		t.Fatalf("without a cut: failed %v, %v", failed, err)
	}
	c.size = [2]int{int(r.passed[up].Load()), int(r.passed[down].Load())}
	if n := c.size[up] + c.size[down]; n < minExchange {
		t.Fatalf("the recorded exchange has %d bytes, not %d", n, minExchange)
	}
	return c
}

// run cuts at every byte, on as many connections at a time as make use of all
// processors, and returns the number of cuts.
func (c *cuts) run(t *testing.T) int {
	t.Helper()
	type place struct {
		direction direction
		byte      int
	}
	places := make(chan place)
	var wg sync.WaitGroup
	for range 4 * runtime.GOMAXPROCS(0) {
		r := newRelay(t, c.server.address)
		wg.Go(func() {
			for p := range places {
				failed, err := c.try(r, p.direction, p.byte)
				if err != nil {
					t.Errorf("cut after %d bytes of %s: %v", p.byte, p.direction, err)
				}
				if !failed {
					c.whole.Add(1)
				}
			}
		})
	}
	n := 0
	for _, d := range []direction{up, down} {
		for i := 0; i < c.size[d]; i += cutStride {
			places <- place{d, i}
			n++
		}
	}
	close(places)
	wg.Wait()
	// The last bytes of a connection are acknowledgements, which the exchange does
	// not wait for.
	whole := int(c.whole.Load())
	t.Logf("%d cuts: requests of %d bytes, responses of %d; whole in spite of it: %d", n, c.size[up], c.size[down], whole)
	if whole > n/4 {
		t.Errorf("%d of %d cut exchanges were whole", whole, n)
	}
	return n
}

// try has one exchange through a relay that cuts it, and reports whether it
// failed, and what is wrong with how it ended.
func (c *cuts) try(r *relay, d direction, n int) (failed bool, wrong error) {
	r.reset(d, n)
	transport, err := culvert.NewTransport("http://"+c.server.address,
		c.way.options(culvert.WithTries(1), culvert.WithDialContext(r.dial()))...)
	if err != nil {
		return false, err
	}
	defer transport.Close()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	ofBody, err, wrong := echo(newEchoRequest(ctx, c.body), transport, c.body)
	if wrong != nil {
		return false, wrong
	}
	if err == nil {
		return false, nil
	}
	return true, checkFailure(err, ofBody)
}

// bystand has exchanges one after the other, which must all go well, until the
// function that it returns is called.
func bystand(t *testing.T, s *server) (stop func()) {
	t.Helper()
	transport := newTransport(t, s.address)
	body := payload(1000)
	done, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		ended <- func() error {
			for n := 0; ; n++ {
				select {
				case <-done:
					return nil
				default:
				}
				ctx, cancel := context.WithTimeout(context.Background(), patience)
				_, err, wrong := echo(newEchoRequest(ctx, body), transport, body)
				cancel()
				if err != nil || wrong != nil {
					return fmt.Errorf("after %d others: %w, %w", n, err, wrong)
				}
			}
		}()
	}()
	return func() {
		close(done)
		if err := await(t, "bystander", ended); err != nil {
			t.Errorf("an exchange that nothing was done to: %v", err)
		}
	}
}
