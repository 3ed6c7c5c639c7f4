//go:build race

package session_test

// modelRuns is fewer with the race detector, which makes each ten times as long.
const modelRuns = "1000"
