// Package bound is the one table of everything that the program bounds. Its
// flags, its environment and docs/bounds.md come from it, and every row has a test
// of its own (TestBounds in cmd/culvert).
package bound

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Unit is what a bound is measured in.
type Unit int

// The units of bounds.
const (
	Count    Unit = iota
	Bytes         // flags take 65536, 64KiB, 3MiB
	Duration      // in nanoseconds; flags take 10s, 1m30s
	Rate          // a second; flags take fractions
)

// Row is one bound of one command.
type Row struct {
	// Command is serve, gateway or call.
	Command string
	// Flag is the name of the flag, without dashes.
	Flag string
	// What says what is bounded.
	What string
	// Unit is what Default is measured in.
	Unit Unit
	// Default is the bound unless another is asked for.
	Default int64
	// Optional says that the bound may be 0, and None what that means.
	Optional bool
	None     string
	// Option is what sets the bound in Go.
	Option string
	// Excess says what becomes of what is over the bound.
	Excess string
}

// Name is the row's own: the command and the flag.
func (r Row) Name() string { return r.Command + "/" + r.Flag }

// Env is the name of the environment variable that stands for the flag.
func (r Row) Env() string {
	return "CULVERT_" + strings.ToUpper(strings.ReplaceAll(r.Flag, "-", "_"))
}

// Test is the name of the test that shows the bound.
func (r Row) Test() string { return "TestBounds/" + r.Name() }

// Help is the help of the flag.
func (r Row) Help() string {
	if r.Optional {
		return r.What + "; 0 for " + r.None + "."
	}
	return r.What + "."
}

// DefaultText is the default as the flag takes it.
func (r Row) DefaultText() string {
	switch r.Unit {
	case Bytes:
		return Size(r.Default).String()
	case Duration:
		if r.Default == 0 {
			return "0"
		}
		return time.Duration(r.Default).String()
	default:
		return strconv.FormatInt(r.Default, 10)
	}
}

// Of returns the rows of a command.
func Of(command string) []Row {
	var rows []Row
	for _, row := range Table() {
		if row.Command == command {
			rows = append(rows, row)
		}
	}
	return rows
}

// Size is a number of bytes, which may be written with a binary unit: 65536,
// 64KiB, 3MiB. It is less than 2 GiB.
type Size int64

var sizeUnits = []struct {
	name string
	size int64
}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}}

// UnmarshalText implements encoding.TextUnmarshaler.
func (s *Size) UnmarshalText(text []byte) error {
	digits, size := string(text), int64(1)
	for _, unit := range sizeUnits {
		if number, ok := strings.CutSuffix(digits, unit.name); ok {
			digits, size = strings.TrimSpace(number), unit.size
			break
		}
	}
	n, err := strconv.ParseInt(digits, 10, 32)
	if err != nil || n*size >= 1<<31 {
		return fmt.Errorf("%q is not a size under 2GiB, such as 65536, 64KiB or 3MiB", text)
	}
	*s = Size(n * size)
	return nil
}

// String prints the size with the largest unit that divides it.
func (s Size) String() string {
	for _, unit := range sizeUnits {
		if s >= Size(unit.size) && int64(s)%unit.size == 0 {
			return strconv.FormatInt(int64(s)/unit.size, 10) + unit.name
		}
	}
	return strconv.FormatInt(int64(s), 10)
}
