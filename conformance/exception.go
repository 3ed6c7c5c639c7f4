package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// maxExceptions is how many cases a suite may excuse.
const maxExceptions = 10

// exceptionNames returns the names of the cases that may fail.
func (s suite) exceptionNames() ([]string, error) {
	if s.exceptions == "" {
		return nil, nil
	}
	text, err := configs.ReadFile("config/" + s.exceptions)
	if err != nil {
		return nil, err
	}
	var names []string
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
		if line := strings.TrimSpace(lines.Text()); line != "" && !strings.HasPrefix(line, "#") {
			names = append(names, line)
		}
	}
	if len(names) > maxExceptions || slices.ContainsFunc(names, isPattern) {
		return nil, fmt.Errorf("%s: not at most %d names without wildcards", s.exceptions, maxExceptions)
	}
	return names, nil
}

func isPattern(name string) bool { return strings.Contains(name, "*") }

// showExceptions runs the cases that are excused through httputil.ReverseProxy,
// on a machine that is kept busy, until each has failed there as well. One that
// does not is not excused any more.
func (c *controlCommand) showExceptions(ctx context.Context, s suite) error {
	left, err := s.exceptionNames()
	if err != nil {
		return err
	}
	defer keepBusy()()
	for round := 1; len(left) > 0; round++ {
		if round > c.Rounds {
			return fmt.Errorf("%d cases passed through httputil.ReverseProxy %d times:\n  %s",
				len(left), c.Rounds, strings.Join(left, "\n  "))
		}
		o, err := s.run(ctx, &c.bench, &passageFlags{Through: throughReverseProxy}, io.Discard, runFlags(left)...)
		if err != nil {
			return err
		}
		for _, name := range o.failures {
			fmt.Printf("round %d: failed: %s\n", round, name)
			left = slices.DeleteFunc(left, func(other string) bool { return other == name })
		}
	}
	return nil
}

// runFlags are the runner's flags for some cases.
func runFlags(patterns []string) []string {
	flags := make([]string, 0, 2*len(patterns))
	for _, pattern := range patterns {
		flags = append(flags, "--run", pattern)
	}
	return flags
}

// keepBusy takes twice as many threads as there are processors, until stop is
// called.
func keepBusy() (stop func()) {
	threads := 2 * runtime.NumCPU()
	before := runtime.GOMAXPROCS(2 * threads)
	var stopped atomic.Bool
	var busy sync.WaitGroup
	for range threads {
		busy.Go(func() {
			for !stopped.Load() {
			}
		})
	}
	return func() {
		stopped.Store(true)
		busy.Wait()
		runtime.GOMAXPROCS(before)
	}
}
