package culvert_test

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync/atomic"
	"testing"
)

// mostGrowth is how much memory one bad request may cost, at both ends together.
const mostGrowth = 16 << 20

// measure fails the test if f allocates more than mostGrowth, what is garbage by
// then included.
func measure(t *testing.T, f func()) {
	t.Helper()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	if grown := after.TotalAlloc - before.TotalAlloc; grown > mostGrowth {
		t.Errorf("%d MiB were allocated", grown>>20)
	}
}

// measureLive is measure for what allocates much, and soon lets go of it.
func measureLive(t *testing.T, f func()) {
	t.Helper()
	if raceEnabled {
		f()
		return
	}
	grown := watchLiveHeap(t)
	f()
	if grown := grown(); grown > mostGrowth {
		t.Errorf("the live heap grew by %d MiB", grown>>20)
	}
}

// watchLiveHeap has the garbage collector run often, and after each run looks at
// what it found alive. It returns what stops that, and says how much the live
// heap grew at most, in bytes.
func watchLiveHeap(tb testing.TB) (stop func() uint64) {
	tb.Helper()
	const percent = 10
	old := debug.SetGCPercent(percent)
	runtime.GC()
	start := liveHeap()
	var most atomic.Uint64
	var stopped atomic.Bool
	most.Store(start)
	afterEachGC(func() bool {
		if live := liveHeap(); live > most.Load() {
			most.Store(live)
		}
		return !stopped.Load()
	})
	return func() uint64 {
		stopped.Store(true)
		debug.SetGCPercent(old)
		return most.Load() - start
	}
}

// afterEachGC calls f after runs of the garbage collector until it returns
// false: an object that nobody holds is gone after each.
func afterEachGC(f func() bool) {
	type canary struct{ _ [16]byte }
	runtime.AddCleanup(new(canary), func(struct{}) {
		if f() {
			afterEachGC(f)
		}
	}, struct{}{})
}

// liveHeap returns how many bytes the last run of the garbage collector found
// alive.
func liveHeap() uint64 {
	sample := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}
