package measure

import (
	"math"
	"testing"

	"github.com/culvert-http/culvert/bench/internal/app"
	"github.com/culvert-http/culvert/bench/internal/peer"
)

func TestMedian(t *testing.T) {
	for _, test := range []struct {
		values []float64
		want   float64
	}{
		{nil, math.NaN()},
		{[]float64{3}, 3},
		{[]float64{9, 1}, 5},
		{[]float64{9, 1, 2}, 2},
		{[]float64{4, 1, 3, 1000}, 3.5},
	} {
		if got := median(test.values); got != test.want && !math.IsNaN(test.want) || math.IsNaN(got) != math.IsNaN(test.want) {
			t.Errorf("%v: got %v, want %v", test.values, got, test.want)
		}
	}
}

// TestRatioIsWithinRounds has a machine that is ten times as slow in one round:
// the ratio of the medians would be 10.
func TestRatioIsWithinRounds(t *testing.T) {
	a, b := Key{"a", "small", 1}, Key{"b", "small", 1}
	r := NewResults(Options{Rounds: 3})
	for round, slow := range []float64{1, 10, 10} {
		r.Add(a, Sample{Wall: 2 * slow})
		if round == 1 {
			slow = 1
		}
		r.Add(b, Sample{Wall: slow})
	}
	if got := r.Ratio(a, b, Wall); got != 2 {
		t.Errorf("got %v, want 2", got)
	}
	if got := r.Median(a, Wall); got != 20 {
		t.Errorf("median: got %v, want 20", got)
	}
	if got := r.Ratio(a, Key{"c", "small", 1}, Wall); !math.IsNaN(got) {
		t.Errorf("without samples: got %v", got)
	}
}

// TestCellsAreUnique also checks that the pictures have all of their points.
func TestCellsAreUnique(t *testing.T) {
	seen := make(map[Key]bool)
	for _, cell := range Cells(peer.List()) {
		if seen[cell.Key()] {
			t.Errorf("%s twice", cell.Key())
		}
		seen[cell.Key()] = true
		if !cell.Peer.Can(cell.Work) {
			t.Errorf("%s cannot be done", cell.Key())
		}
	}
	for _, concurrency := range Concurrencies() {
		for _, name := range SweptByConcurrency() {
			if key := (Key{name, app.Small().Name, concurrency}); !seen[key] {
				t.Errorf("%s is missing", key)
			}
		}
	}
	for _, length := range Lengths() {
		for _, name := range SweptByLength() {
			if key := (Key{name, app.Download(length).Name, BulkConcurrency}); !seen[key] {
				t.Errorf("%s is missing", key)
			}
		}
	}
}
