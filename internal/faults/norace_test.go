//go:build !race

package faults

const (
	cutStride  = 1
	mixedCalls = 10_000
)
