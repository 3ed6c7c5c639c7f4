//go:build !race

package culvert_test

const raceEnabled = false
