package siege

import (
	"slices"
	"testing"
	"time"
)

const (
	// alone and attacked are for how long a benchmark makes requests, one after the
	// other. What is shorter is shorter than what else a machine does now and then.
	alone, attacked = time.Second, 2 * time.Second
	// slowPeers is how many are slow at once, with the bounds that are the default.
	slowPeers = 100
	// rest is what a flooding attacker needs to come again when it was cut off.
	rest = 100 * time.Millisecond
)

// BenchmarkOthers measures what another client has of an attack: the 99th
// percentile of its requests' times, alone and from when attackers strike. It is
// for task siege, which runs each once. There is one attacker for each flood, which
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
		_ = percentile(b, honest, attacked) // to warm up
		before := percentile(b, honest, alone)
		begin(b, attack, f, n, rest)
		under := percentile(b, honest, attacked)
		b.ReportMetric(float64(before.Microseconds()), "alone-p99-µs")
		b.ReportMetric(float64(under.Microseconds()), "attacked-p99-µs")
		b.ReportMetric(float64(under)/float64(before), "times")
		b.ReportMetric(0, "ns/op")
	}
}

// percentile returns the 99th of the times that requests take, which are made for
// so long.
func percentile(b *testing.B, request func() error, last time.Duration) time.Duration {
	b.Helper()
	var times []time.Duration
	for end := time.Now().Add(last); time.Now().Before(end); {
		began := time.Now()
		if err := request(); err != nil {
			b.Fatal(err)
		}
		times = append(times, time.Since(began))
	}
	slices.Sort(times)
	return times[len(times)*99/100]
}
