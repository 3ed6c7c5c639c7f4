package measure

import (
	"context"
	"errors"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/culvert-http/culvert/bench/internal/app"
	"github.com/culvert-http/culvert/bench/internal/peer"
)

// TestMeasure has cells of each kind measured, as short as can be.
func TestMeasure(t *testing.T) {
	for _, cell := range []Cell{
		{find(t, peer.Session), app.Small(), 3},
		{find(t, peer.Auto), app.WebSocket(), 2},
		{find(t, peer.BareConnect), app.Small(), 1},
		{find(t, peer.Dskit), app.Download(100_000), 2},
	} {
		t.Run(cell.Key().String(), func(t *testing.T) {
			sample, err := Measure(cell, time.Millisecond)
			if err != nil {
				t.Fatal(err)
			}
			if least := int64(cell.Concurrency * cell.least()); sample.Exchanges < least {
				t.Errorf("%d exchanges, want %d at least", sample.Exchanges, least)
			}
			for name, value := range map[string]float64{
				"wall": sample.Wall, "allocations": sample.Allocs, "bytes": sample.Bytes,
			} {
				if value <= 0 || math.IsInf(value, 0) || math.IsNaN(value) {
					t.Errorf("%s: %v", name, value)
				}
			}
			if math.IsNaN(sample.CPU) || sample.CPU < 0 {
				t.Errorf("CPU: %v", sample.CPU)
			}
		})
	}
}

// TestMeasureFailsOnAnotherCarrier measures exchanges that come by another RPC
// than the peer's.
func TestMeasureFailsOnAnotherCarrier(t *testing.T) {
	exchange := *find(t, peer.Exchange)
	exchange.Carrier.Method = "Session"
	if _, err := Measure(Cell{&exchange, app.Small(), 1}, time.Millisecond); err == nil {
		t.Error("no error")
	}
}

// TestCrewStopsAtFirstError has one of three workers fail.
func TestCrewStopsAtFirstError(t *testing.T) {
	broken := errors.New("broken")
	c := crew{workerFunc(func() error { return nil }), workerFunc(func() error { return broken }), workerFunc(func() error { return nil })}
	if _, err := c.measure(time.Hour, 1); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
}

type workerFunc func() error

func (f workerFunc) Exchange() error { return f() }
func (workerFunc) Close() error      { return nil }

// TestRoundsGoesThroughAllCells checks that each cell has as many samples as
// there are rounds, and that rounds begin with different cells.
func TestRoundsGoesThroughAllCells(t *testing.T) {
	cells := []Cell{
		{find(t, peer.HTTP1), app.Small(), 1},
		{find(t, peer.H2C), app.Small(), 1},
		{find(t, peer.HTTP1), app.Download(10), 1},
	}
	var took []string
	results, err := Rounds(t.Context(), cells, Options{Rounds: 2, Time: time.Millisecond, Took: func(_ int, key Key, _ Sample) {
		took = append(took, key.String())
	}})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"small/1/http1", "small/1/h2c", "download-10B/1/http1",
		"small/1/h2c", "small/1/http1", "download-10B/1/http1",
	}
	if !slices.Equal(took, want) {
		t.Errorf("got %q, want %q", took, want)
	}
	for _, cell := range cells {
		if n := len(results.samples[cell.Key()]); n != 2 {
			t.Errorf("%s: %d samples", cell.Key(), n)
		}
	}
}

func TestRoundsEndsWithContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := Rounds(ctx, []Cell{{find(t, peer.HTTP1), app.Small(), 1}}, Options{Rounds: 1, Time: time.Millisecond})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestMeasureIdle(t *testing.T) {
	for _, name := range []string{peer.Session, peer.Exchange, peer.H2C} {
		t.Run(name, func(t *testing.T) {
			idle, err := MeasureIdle(t.Context(), find(t, name), idlePerPath+100)
			if err != nil {
				t.Fatal(err)
			}
			// The handler waits on a goroutine of its own.
			if idle.Goroutines < 0.9 || idle.Bytes < 1000 {
				t.Errorf("%.1f goroutines and %.0f bytes", idle.Goroutines, idle.Bytes)
			}
		})
	}
}

func TestMeasureIdleWantsHTTP(t *testing.T) {
	if _, err := MeasureIdle(t.Context(), find(t, peer.Dskit), 1); err == nil {
		t.Error("no error")
	}
}

func find(tb testing.TB, name string) *peer.Peer {
	tb.Helper()
	for _, p := range peer.List() {
		if p.Name == name {
			return p
		}
	}
	tb.Fatalf("no peer %s", name)
	return nil
}
