package measure

import (
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/culvert-http/culvert/bench/internal/app"
	"github.com/culvert-http/culvert/bench/internal/peer"
)

// A Sample is what an exchange has cost on the average of one measurement.
type Sample struct {
	Exchanges int64
	// Wall is the time that passed, divided by the exchanges: for one at a time it
	// is how long each took. CPU is what client and server have used together.
	// Both in nanoseconds.
	Wall, CPU float64
	// Allocs and Bytes are what was allocated, at both ends together.
	Allocs, Bytes float64
}

// minWarmUp is how many exchanges each worker makes at least before it is
// measured.
const minWarmUp = 2

// Measure opens the cell's peer, warms it up, has its workers make exchanges for
// the given time, and at least a few each, and closes it.
func Measure(cell Cell, length time.Duration) (sample Sample, err error) {
	path, err := cell.Peer.Open()
	if err != nil {
		return Sample{}, err
	}
	defer func() { err = errors.Join(err, path.Close()) }()
	sample, err = measureOn(path, cell, length)
	if err != nil {
		return Sample{}, fmt.Errorf("measure %s: %w", cell.Key(), err)
	}
	return sample, nil
}

func measureOn(path *peer.Path, cell Cell, length time.Duration) (sample Sample, err error) {
	if err := path.Settle(); err != nil {
		return Sample{}, err
	}
	before := path.Carried()
	crew, err := newCrew(path, cell)
	if err != nil {
		return Sample{}, err
	}
	defer func() { err = errors.Join(err, crew.close()) }()
	warmed, err := crew.run(length/4, minWarmUp)
	if err != nil {
		return Sample{}, fmt.Errorf("warm up: %w", err)
	}
	sample, err = crew.measure(length, cell.least())
	if err != nil {
		return Sample{}, err
	}
	requests := warmed + sample.Exchanges
	if cell.Work.Kind == app.KindWebSocket {
		requests = int64(cell.Concurrency)
	}
	return sample, path.Check(before, requests)
}

// least is how many exchanges each worker makes at least. Where they are slow, so
// many that the first and the last ones, which have less beside them, do not
// count for much.
func (c Cell) least() int {
	if max(c.Work.Up, c.Work.Down) <= mebibyte {
		return 4
	}
	return 1
}

// crew are the workers of a cell.
type crew []peer.Worker

func newCrew(path *peer.Path, cell Cell) (crew, error) {
	var c crew
	for range cell.Concurrency {
		worker, err := path.Worker(cell.Work)
		if err != nil {
			return nil, errors.Join(err, c.close())
		}
		c = append(c, worker)
	}
	return c, nil
}

func (c crew) close() error {
	var errs []error
	for _, worker := range c {
		errs = append(errs, worker.Close())
	}
	return errors.Join(errs...)
}

// measure runs the workers, and counts what it takes.
func (c crew) measure(length time.Duration, least int) (Sample, error) {
	runtime.GC()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	usedBefore, err := cpuTime()
	if err != nil {
		return Sample{}, err
	}
	began := time.Now()
	exchanges, err := c.run(length, least)
	wall := time.Since(began)
	if err != nil {
		return Sample{}, err
	}
	usedAfter, err := cpuTime()
	if err != nil {
		return Sample{}, err
	}
	runtime.ReadMemStats(&after)
	n := float64(exchanges)
	return Sample{
		Exchanges: exchanges,
		Wall:      float64(wall) / n,
		CPU:       float64(usedAfter-usedBefore) / n,
		Allocs:    float64(after.Mallocs-before.Mallocs) / n,
		Bytes:     float64(after.TotalAlloc-before.TotalAlloc) / n,
	}, nil
}

// run has all workers make exchanges for the given time, and each at least so
// many. It returns how many they have made, and an error if one has failed.
func (c crew) run(length time.Duration, least int) (int64, error) {
	var over atomic.Bool
	timer := time.AfterFunc(length, func() { over.Store(true) })
	defer timer.Stop()
	var exchanges atomic.Int64
	errs := make([]error, len(c))
	var running sync.WaitGroup
	for i, worker := range c {
		running.Go(func() {
			done := 0
			for done < least || !over.Load() {
				if errs[i] = worker.Exchange(); errs[i] != nil {
					over.Store(true)
					return
				}
				done++
			}
			exchanges.Add(int64(done))
		})
	}
	running.Wait()
	return exchanges.Load(), first(errs)
}

// first returns the first error that there is: the others mostly say the same.
func first(errs []error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
