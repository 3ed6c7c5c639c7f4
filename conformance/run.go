package main

import (
	"context"
	"fmt"
	"maps"
	"os"
	"os/signal"
	"slices"
	"strings"
	"time"
)

// runCommand runs suites through the tunnel.
type runCommand struct {
	bench

	Protocol []string `default:"grpc,grpc-web,connect" help:"Protocols of the tunnel, one after the other."`
	Method   []string `default:"auto" help:"Methods of the tunnel, one after the other."`
	Suite    []string `arg:"" optional:"" help:"Suites to run: server, server-tls, client, client-tls. The default is all."`
	Match    []string `help:"Run but the cases that match the pattern, such as 'Errors/**'." placeholder:"PATTERN"`
}

// Run prints a line for each run, and fails if one of them is not as it must be.
func (c *runCommand) Run() error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	names := c.Suite
	if len(names) == 0 {
		names = suiteNames()
	}
	failed := 0
	for _, name := range names {
		s, err := findSuite(name)
		if err != nil {
			return err
		}
		for _, protocol := range c.Protocol {
			for _, method := range c.Method {
				through := &passageFlags{Through: throughTunnel, Protocol: protocol, Method: method}
				ok, err := c.runSuite(ctx, s, through)
				if err != nil {
					return err
				}
				if !ok {
					failed++
				}
			}
		}
	}
	if failed > 0 {
		return fmt.Errorf("%d runs failed", failed)
	}
	return nil
}

func (c *runCommand) runSuite(ctx context.Context, s suite, through *passageFlags) (bool, error) {
	started := time.Now()
	o, err := s.run(ctx, &c.bench, through, os.Stderr, runFlags(c.Match)...)
	if err != nil {
		return false, err
	}
	if len(c.Match) > 0 {
		s.cases = o.computed
	}
	fmt.Printf("%s through %s, method %s: %d passed, %d failed", s.name, through.Protocol, through.Method,
		o.passed, o.total-o.passed-o.excused)
	if o.excused > 0 {
		fmt.Printf(", %d excused", o.excused)
	}
	fmt.Printf("; %s; %.1f s\n", o.describeCarried(), time.Since(started).Seconds())
	if err := s.check(o, through); err != nil {
		fmt.Println("  " + strings.ReplaceAll(err.Error(), "\n", "\n  "))
		return false, nil
	}
	return true, nil
}

// describeCarried says how many exchanges went by which RPC.
func (r *report) describeCarried() string {
	if len(r.Carried) == 0 {
		return "no exchanges"
	}
	var kinds []string
	for _, kind := range slices.Sorted(maps.Keys(r.Carried)) {
		kinds = append(kinds, fmt.Sprintf("%d exchanges by %s", r.Carried[kind], kind))
	}
	return strings.Join(kinds, ", ")
}
