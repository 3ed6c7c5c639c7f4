package measure

import (
	"math"
	"slices"
	"time"
)

// Results are the samples of all cells. Not safe for concurrent use.
type Results struct {
	Rounds int
	Time   time.Duration

	samples map[Key][]Sample // by round
	idle    map[string]Idle
}

// NewResults returns results without samples.
func NewResults(options Options) *Results {
	return &Results{
		Rounds:  options.Rounds,
		Time:    options.Time,
		samples: make(map[Key][]Sample),
		idle:    make(map[string]Idle),
	}
}

// Add adds the sample of a further round.
func (r *Results) Add(key Key, sample Sample) { r.samples[key] = append(r.samples[key], sample) }

// AddIdle adds what idle exchanges of a peer cost.
func (r *Results) AddIdle(peer string, idle Idle) { r.idle[peer] = idle }

// Idle returns what AddIdle was given.
func (r *Results) Idle(peer string) (Idle, bool) {
	idle, found := r.idle[peer]
	return idle, found
}

// Has reports whether the cell was measured.
func (r *Results) Has(key Key) bool { return len(r.samples[key]) > 0 }

// A Metric is one number of a sample.
type Metric func(Sample) float64

// Wall is [Sample.Wall] as a metric.
func Wall(s Sample) float64 { return s.Wall }

// CPU is [Sample.CPU] as a metric.
func CPU(s Sample) float64 { return s.CPU }

// Allocs is [Sample.Allocs] as a metric.
func Allocs(s Sample) float64 { return s.Allocs }

// Bytes is [Sample.Bytes] as a metric.
func Bytes(s Sample) float64 { return s.Bytes }

// Median returns the median over the rounds, NaN without samples.
func (r *Results) Median(key Key, metric Metric) float64 {
	var values []float64
	for _, sample := range r.samples[key] {
		values = append(values, metric(sample))
	}
	return median(values)
}

// Ratio returns the median over the rounds of what one cell took, divided by what
// the other took in the same round; NaN without samples.
func (r *Results) Ratio(over, under Key, metric Metric) float64 {
	a, b := r.samples[over], r.samples[under]
	var ratios []float64
	for round := range min(len(a), len(b)) {
		ratios = append(ratios, metric(a[round])/metric(b[round]))
	}
	return median(ratios)
}

func median(values []float64) float64 {
	if len(values) == 0 {
		return math.NaN()
	}
	values = slices.Sorted(slices.Values(values))
	middle := len(values) / 2
	if len(values)%2 == 1 {
		return values[middle]
	}
	return (values[middle-1] + values[middle]) / 2
}
