//go:build !race

package session_test

// modelRuns is how many interleavings TestModel tries.
const modelRuns = "10000"
