//go:build race

package culvert_test

// raceEnabled says that the race detector is on, which takes memory and time of
// its own: what is said of memory is not measured then, and less is moved.
const raceEnabled = true
