package siege

import (
	"slices"
	"testing"
	"time"
)

const (
	// samples is how many requests a benchmark makes, alone and under attack.
	samples = 1000
	// slowPeers is how many are slow at once, with the bounds that are the default.
	slowPeers = 100
	// rest is what a flooding attacker needs to come again when it was cut off.
	rest = 100 * time.Millisecond
)

// BenchmarkOthers measures what another client has of an attack: the 99th
// percentile of its requests' times, alone and while attackers strike. It is for
// task siege, which runs each once. There is one attacker for each flood, which
// shares the machine with what it attacks.
func BenchmarkOthers(b *testing.B) {
	defer func(usual time.Duration) { pause = usual }(pause)
	pause = time.Second
	for _, attack := range attacks {
		if attack.serve {
			b.Run(attack.name+"/serve", func(b *testing.B) { benchmark(b, &attack, startServe) })
		}
		if attack.gateway {
			b.Run(attack.name+"/gateway", func(b *testing.B) { benchmark(b, &attack, startGateway) })
		}
	}
}

func benchmark(b *testing.B, attack *attack, start func(testing.TB, bounds) *front) {
	b.Helper()
	f := start(b, bounds{})
	n := slowPeers
	if attack.flood {
		n = 1
	}
	for b.Loop() {
		honest := newHonest(b, f)
		_ = percentile(b, honest) // to warm up
		alone := percentile(b, honest)
		begin(b, attack, f, n, rest)
		_ = percentile(b, honest) // until they have all begun
		attacked := percentile(b, honest)
		b.ReportMetric(float64(alone.Microseconds()), "alone-p99-µs")
		b.ReportMetric(float64(attacked.Microseconds()), "attacked-p99-µs")
		b.ReportMetric(float64(attacked)/float64(alone), "times")
		b.ReportMetric(0, "ns/op")
	}
}

// percentile returns the 99th of the times that requests take.
func percentile(b *testing.B, request func() error) time.Duration {
	b.Helper()
	times := make([]time.Duration, samples)
	for i := range times {
		began := time.Now()
		if err := request(); err != nil {
			b.Fatal(err)
		}
		times[i] = time.Since(began)
	}
	slices.Sort(times)
	return times[samples*99/100]
}
