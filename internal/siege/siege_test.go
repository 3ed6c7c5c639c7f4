package siege

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

const (
	// attackers is how many strike at once, each again when it was cut off, and
	// flooders how many flood.
	attackers = 4
	flooders  = 2
	// honestRequests are made meanwhile.
	honestRequests = 20
	// slowFor is for how long attackers are watched that are not cut off.
	slowFor = time.Second
	// heapCap bounds what all attackers together may cost in memory, in bytes. Of a
	// flood net/http queues 10,000 answers, which is 5 MiB an attacker.
	heapCap = attackers * 16 << 20
)

// While attackers strike, others are served and the memory stays within its cap.
// Each attacker is cut off.
func TestSiege(t *testing.T) {
	for _, attack := range attacks {
		t.Run(attack.name, func(t *testing.T) {
			if attack.serve {
				t.Run("serve", func(t *testing.T) { testAttack(t, &attack, startServe(t, attack.bounds)) })
			}
			if attack.serve && attack.secured {
				t.Run("serve, TLS", func(t *testing.T) { testAttack(t, &attack, startServe(t, attack.bounds.overTLS(t))) })
			}
			if attack.gateway {
				t.Run("gateway", func(t *testing.T) { testAttack(t, &attack, startGateway(t, attack.bounds)) })
			}
			if attack.gateway && attack.secured {
				t.Run("gateway, TLS", func(t *testing.T) { testAttack(t, &attack, startGateway(t, attack.bounds.overTLS(t))) })
			}
		})
	}
}

func testAttack(t *testing.T, attack *attack, f *front) {
	honest := newHonest(t, f)
	if err := honest(); err != nil {
		t.Fatal(err)
	}
	before := heap()
	n := int64(attackers)
	if attack.flood {
		n = flooders
	}
	raid := begin(t, attack, f, int(n), 0)
	for range honestRequests {
		if err := honest(); err != nil {
			t.Fatalf("another client: %v", err)
		}
	}
	if attack.mostInAll > 0 {
		until(t, "a request of an attacker's", func() bool { return f.app.busy.Load() > 0 })
		for end := time.Now().Add(slowFor); time.Now().Before(end); {
			must(t, honest())
		}
		if all := f.app.busy.Load(); all > attack.mostInAll {
			t.Errorf("%d of their requests ran, want %d at most", all, attack.mostInAll)
		}
	} else {
		raid.wait(t, n)
	}
	if grown := heap() - before; grown > heapCap {
		t.Errorf("the heap has grown by %d bytes, want %d at most", grown, heapCap)
	}
	if err := honest(); err != nil {
		t.Errorf("another client: %v", err)
	}
	bound := attack.mostServed
	if f.isGateway {
		bound = attack.mostRequests
	}
	if most := f.conns.peak(); bound > 0 && most > bound {
		t.Errorf("%d ran at once for one connection, want %d at most", most, bound)
	}
}

// heap is the memory in use, without what is garbage.
func heap() int64 {
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc)
}

// raid is an attack that goes on until the test ends.
type raid struct {
	cuts atomic.Int64
}

// begin has n attackers strike, each again when it was cut off and has rested.
func begin(tb testing.TB, attack *attack, f *front, n int, rest time.Duration) *raid {
	tb.Helper()
	r := &raid{}
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	for range n {
		all.Go(func() {
			for ctx.Err() == nil {
				_ = attack.strike(ctx, f) // how it was cut off does not matter
				if ctx.Err() != nil {
					return
				}
				r.cuts.Add(1)
				select {
				case <-time.After(rest):
				case <-ctx.Done():
				}
			}
		})
	}
	tb.Cleanup(func() {
		cancel()
		all.Wait()
	})
	return r
}

// wait waits until as many were cut off as there are.
func (r *raid) wait(tb testing.TB, n int64) {
	tb.Helper()
	deadline := time.Now().Add(patience)
	for tick := time.NewTicker(5 * time.Millisecond); ; <-tick.C {
		if r.cuts.Load() >= n {
			tick.Stop()
			return
		}
		if time.Now().After(deadline) {
			tb.Fatalf("%d of %d attackers were cut off", r.cuts.Load(), n)
		}
	}
}
