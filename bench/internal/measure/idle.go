package measure

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"sync"

	"github.com/culvert-http/culvert/bench/internal/peer"
)

// Idle is what an exchange costs that has a response without an end, at both ends
// together.
type Idle struct {
	Exchanges int
	// Bytes is of heap and stacks; Goroutines has the handler's own in it.
	Bytes, Goroutines float64
}

// openers is how many idle exchanges are begun at once.
const openers = 64

// idlePerPath is how many idle exchanges are on one path, within what a handler
// allows a connection by default. More go on further paths, as from more clients.
const idlePerPath = 500

// MeasureIdle opens the peer, as often as is needed for so many exchanges, and
// looks at what is there while nothing moves.
func MeasureIdle(ctx context.Context, p *peer.Peer, exchanges int) (idle Idle, err error) {
	var paths idlePaths
	defer func() { err = errors.Join(err, paths.close()) }()
	for left := exchanges; left > 0; left -= idlePerPath {
		if err := paths.open(p, min(left, idlePerPath)); err != nil {
			return Idle{}, err
		}
	}
	before := footprintNow()
	for _, path := range paths {
		if err := path.fill(ctx); err != nil {
			return Idle{}, fmt.Errorf("open idle exchanges on %s: %w", p.Name, err)
		}
	}
	after := footprintNow()
	n := float64(exchanges)
	return Idle{
		Exchanges:  exchanges,
		Bytes:      (after.bytes - before.bytes) / n,
		Goroutines: (after.goroutines - before.goroutines) / n,
	}, nil
}

type idlePaths []*idlePath

// idlePath is a path, and the responses that are open on it.
type idlePath struct {
	*peer.Path

	responses []*http.Response
}

// open adds a path for so many exchanges.
func (ps *idlePaths) open(p *peer.Peer, exchanges int) error {
	path, err := p.Open()
	if err != nil {
		return err
	}
	*ps = append(*ps, &idlePath{path, make([]*http.Response, exchanges)})
	return path.Settle()
}

func (ps idlePaths) close() error {
	var errs []error
	for _, path := range ps {
		for _, response := range path.responses {
			if response != nil {
				errs = append(errs, response.Body.Close())
			}
		}
		errs = append(errs, path.Close())
	}
	return errors.Join(errs...)
}

// fill begins all exchanges.
func (p *idlePath) fill(ctx context.Context) error {
	before := p.Carried()
	jobs := make(chan int, len(p.responses))
	for i := range p.responses {
		jobs <- i
	}
	close(jobs)
	errs := make([]error, openers)
	var opening sync.WaitGroup
	for o := range openers {
		opening.Go(func() {
			for i := range jobs {
				p.responses[i], errs[o] = p.OpenIdle(ctx) //nolint:bodyclose // by close
				if errs[o] != nil {
					return
				}
			}
		})
	}
	opening.Wait()
	if err := first(errs); err != nil {
		return err
	}
	return p.Check(before, int64(len(p.responses)))
}

type footprint struct{ bytes, goroutines float64 }

// footprintNow collects garbage twice: what pools hold goes with the second.
func footprintNow() footprint {
	runtime.GC()
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return footprint{float64(stats.HeapAlloc + stats.StackInuse), float64(runtime.NumGoroutine())}
}
