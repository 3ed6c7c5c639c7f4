package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os/exec"
	"regexp"
	"strconv"
	"syscall"
)

// runnerSummary is what the runner says on its output, which is written to it.
type runnerSummary struct {
	computed int // cases, as announced before they run
	total    int // cases, as counted afterwards
	passed   int
	excused  int      // failed, as they may
	failures []string // names of cases
	// finished says that the runner came to a result, exit what its exit status
	// was.
	finished bool
	exit     error

	details io.Writer // gets what the runner says about cases that fail
	partial []byte    // of a line
}

// What the runner prints with -v. The second line of computed comes only where
// cases are chosen.
var (
	computedLine = regexp.MustCompile(`^(?:Computed|Filtered tests to) (\d+) test case permutation`)
	failedLine   = regexp.MustCompile(`^FAILED: (\S.*?)(?: was expected to fail but did not|:)$`)
	totalLine    = regexp.MustCompile(`^Total cases: (\d+)$`)
	passedLine   = regexp.MustCompile(`^(\d+) passed, \d+ failed$`)
	excusedLine  = regexp.MustCompile(`^\(Another (\d+) failed as expected `)
	chatterLine  = regexp.MustCompile(`^(?:Computed|Loaded|Running|Filtered) |^$`)
)

// Write takes the runner's output.
func (s *runnerSummary) Write(text []byte) (int, error) {
	s.partial = append(s.partial, text...)
	for {
		line, rest, whole := bytes.Cut(s.partial, []byte("\n"))
		if !whole {
			return len(text), nil
		}
		s.readLine(string(line))
		s.partial = rest
	}
}

func (s *runnerSummary) readLine(line string) {
	if found := computedLine.FindStringSubmatch(line); found != nil {
		s.computed = number(found[1])
	} else if found := totalLine.FindStringSubmatch(line); found != nil {
		s.total = number(found[1])
	} else if found := passedLine.FindStringSubmatch(line); found != nil {
		s.passed = number(found[1])
		s.finished = true
	} else if found := excusedLine.FindStringSubmatch(line); found != nil {
		s.excused = number(found[1])
	} else if !chatterLine.MatchString(line) {
		_, _ = fmt.Fprintln(s.details, line)
	}
	if found := failedLine.FindStringSubmatch(line); found != nil {
		s.failures = append(s.failures, found[1])
	}
}

// number reads digits that a pattern has found. One that is too large for an int
// is as wrong as any other.
func number(digits string) int {
	n, _ := strconv.Atoi(digits)
	return n
}

// runRunner runs the runner until it ends or ctx is done. That cases fail, or
// that the runner is ended, is no error.
func runRunner(ctx context.Context, program string, args []string, details io.Writer) (*runnerSummary, error) {
	summary := &runnerSummary{details: details}
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Stdout = summary
	cmd.Stderr = details
	// A group of its own, so that SIGTERM reaches the subject as well: a runner that
	// is ended forgets it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	cmd.WaitDelay = 3 * stopTimeout // for the subject, which shares the outputs
	summary.exit = cmd.Run()
	if !summary.finished && ctx.Err() == nil {
		return nil, fmt.Errorf("run %s: no result: %w", program, summary.exit)
	}
	return summary, nil
}
