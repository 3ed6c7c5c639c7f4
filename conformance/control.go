package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"time"
)

// controlCommand runs suites through httputil.ReverseProxy in the tunnel's place:
// a suite that passes there as well proves little about the tunnel. A case that
// hangs keeps the runner from its result, so that groups of cases run each for
// itself and for a bounded time.
type controlCommand struct {
	bench

	Limit      time.Duration `default:"45s" help:"Time for a group of cases. The slowest takes 10 seconds where nothing hangs."`
	Details    bool          `help:"Print what the runner says about cases that fail."`
	Exceptions bool          `help:"Run the cases alone that the suite excuses, until each has failed."`
	Rounds     int           `default:"200" help:"Number of times that --exceptions tries."`
	Suite      []string      `arg:"" optional:"" help:"Suites to run. The default is server and client."`
}

// groups are the runner's test suites, in its two modes.
var groups = map[string][]string{
	"server": {
		"Basic",
		"Connect to HTTP Code Mapping",
		"Connect Unexpected Requests",
		"Connect with GET",
		"Deadline Propagation",
		"Duplicate Metadata",
		"Errors",
		"gRPC Proto Sub-Format Requests",
		"gRPC Unexpected Requests",
		"gRPC-Web Proto Sub-Format Requests",
		"gRPC-Web Unexpected Requests",
		"Server Empty Requests",
		"Server Message Size",
		"Timeouts",
		"Unexpected Requests",
	},
	"client": {
		"Basic",
		"Client Cancellation",
		"Connect Compressed Error and End-Stream",
		"Connect Empty Responses",
		"Connect Error and End-Stream",
		"Connect Unexpected Responses",
		"Connect with GET",
		"Deadline Propagation",
		"Duplicate Metadata",
		"Errors",
		"gRPC Empty Responses",
		"gRPC Proto Sub-Format Responses",
		"gRPC Trailers",
		"gRPC Unexpected Responses",
		"gRPC-Web Compressed Trailers",
		"gRPC-Web Empty Responses",
		"gRPC-Web Proto Sub-Format Responses",
		"gRPC-Web Trailers",
		"gRPC-Web Unexpected Responses",
		"HTTP to RPC Code Mapping",
		"Timeouts",
		"Unexpected Responses",
	},
}

// Run prints a line for each group. That cases fail is no failure of the control;
// that groups are missing is.
func (c *controlCommand) Run() error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	names := c.Suite
	if len(names) == 0 {
		names = []string{"server", "client"}
	}
	for _, name := range names {
		s, err := findSuite(name)
		if err != nil {
			return err
		}
		run := c.runSuite
		if c.Exceptions {
			run = c.showExceptions
		}
		if err := run(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

func (c *controlCommand) runSuite(ctx context.Context, s suite) error {
	fmt.Printf("%-40s %6s %6s %6s %9s\n", s.name+" through httputil.ReverseProxy", "cases", "passed", "failed", "no result")
	var sum runnerSummary
	for _, group := range groups[s.mode] {
		o, err := c.runGroup(ctx, s, group)
		if err != nil {
			return err
		}
		printControl(group, o)
		sum.computed += o.computed
		sum.passed += o.passed
		sum.failures = append(sum.failures, o.failures...)
	}
	printControl("all", &sum)
	if sum.computed != s.cases {
		return fmt.Errorf("the groups of suite %s have %d cases, not %d", s.name, sum.computed, s.cases)
	}
	return nil
}

func (c *controlCommand) runGroup(ctx context.Context, s suite, group string) (*runnerSummary, error) {
	ctx, cancel := context.WithTimeout(ctx, c.Limit)
	defer cancel()
	details := io.Discard
	if c.Details {
		details = os.Stderr
	}
	o, err := s.run(ctx, &c.bench, &passageFlags{Through: throughReverseProxy}, details, "--run", group+"/**")
	if err != nil {
		return nil, err
	}
	return o.runnerSummary, nil
}

func printControl(name string, s *runnerSummary) {
	fmt.Printf("%-40s %6d %6d %6d %9d\n", name, s.computed, s.passed, len(s.failures), s.computed-s.passed-len(s.failures))
}
