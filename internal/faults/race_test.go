//go:build race

package faults

// Every step takes several times its time with the race detector, so fewer are
// taken.
const (
	// cutStride is how far one cut is from the next.
	cutStride = 7
	// mixedCalls is how many calls there are of which half are aborted.
	mixedCalls = 2000
)
