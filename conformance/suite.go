package main

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// configs are the runner's configurations, which say what the subject supports,
// and the lists of cases that may fail.
//
//go:embed config/*.yaml config/*.txt
var configs embed.FS

// suite is a run of the runner.
type suite struct {
	name string
	mode string // the runner's: server or client
	// config is a file of configs.
	config string
	// cases is the number of cases that the runner makes of the configuration. A
	// run with another has not tested what it should.
	cases int
	// silent is the number of cases of the suites Client Cancellation and Timeouts:
	// on a busy machine, their clients give up before the tunnel sees a request.
	silent int
	// exceptions is a file of configs with the cases that may fail.
	exceptions string
	// frontTLS has a client use TLS. A server does where the runner wants it.
	frontTLS bool
}

// suites are all that is run. The runner's own figures are the same without a
// tunnel.
var suites = []suite{
	{name: "server", mode: "server", config: "server.yaml", cases: 1900, silent: 94},
	{name: "server-tls", mode: "server", config: "server-tls.yaml", cases: 1810, silent: 92},
	{name: "client", mode: "client", config: "client.yaml", cases: 2671, silent: 376, exceptions: "client-exceptions.txt"},
	{name: "client-tls", mode: "client", config: "client.yaml", cases: 2671, silent: 376, exceptions: "client-exceptions.txt", frontTLS: true},
}

func suiteNames() []string {
	names := make([]string, len(suites))
	for i, s := range suites {
		names[i] = s.name
	}
	return names
}

func findSuite(name string) (suite, error) {
	for _, s := range suites {
		if s.name == name {
			return s, nil
		}
	}
	return suite{}, fmt.Errorf("suite %q is none of %v", name, suiteNames())
}

// outcome is what came of a suite.
type outcome struct {
	*runnerSummary
	*report
}

// bench is what suites are run with.
type bench struct {
	programs

	Parallel int `default:"8" help:"Number of RPCs at the same time."`
}

// run runs the suite until it ends or ctx is done. Flags of the runner come in
// more.
func (s suite) run(ctx context.Context, b *bench, through *passageFlags, details io.Writer, more ...string) (*outcome, error) {
	folder, err := os.MkdirTemp("", "conformance-")
	if err != nil {
		return nil, fmt.Errorf("run suite %s: %w", s.name, err)
	}
	defer func() { _ = os.RemoveAll(folder) }()
	args, err := s.runnerArgs(b, through, folder)
	if err != nil {
		return nil, fmt.Errorf("run suite %s: %w", s.name, err)
	}
	runner, err := b.path("connectconformance")
	if err != nil {
		return nil, fmt.Errorf("run suite %s: %w", s.name, err)
	}
	summary, err := runRunner(ctx, runner, append(more, args...), details)
	if err != nil {
		return nil, fmt.Errorf("run suite %s: %w", s.name, err)
	}
	sum, err := readReports(folder)
	if err != nil {
		return nil, fmt.Errorf("run suite %s: %w", s.name, err)
	}
	return &outcome{summary, sum}, nil
}

// runnerArgs returns the arguments of the runner, the subject's among them. The
// configuration is put into folder, for the runner takes none but from a file.
func (s suite) runnerArgs(b *bench, through *passageFlags, folder string) ([]string, error) {
	text, err := configs.ReadFile("config/" + s.config)
	if err != nil {
		return nil, err
	}
	config := filepath.Join(folder, s.config)
	if err := os.WriteFile(config, text, 0o600); err != nil {
		return nil, err
	}
	excused, err := s.exceptionNames()
	if err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	args := []string{"--conf", config, "--mode", s.mode, "-v"}
	if through.Through == throughTunnel {
		for _, name := range excused {
			args = append(args, "--known-flaky", name)
		}
	}
	subject := []string{self, s.mode, "--bin", b.Bin, "--report", folder}
	subject = append(subject, through.args()...)
	switch s.mode {
	case "server":
		args = append(args, "--parallel", strconv.Itoa(b.Parallel))
	case "client":
		subject = append(subject, "--parallel", strconv.Itoa(b.Parallel), fmt.Sprintf("--front-tls=%t", s.frontTLS))
	}
	args = append(args, "--")
	return append(args, subject...), nil
}

// check returns everything that is wrong with the outcome of a run through the
// tunnel.
func (s suite) check(o *outcome, through *passageFlags) error {
	var errs []error
	if o.exit != nil {
		errs = append(errs, fmt.Errorf("the runner: %w", o.exit))
	}
	if o.total != s.cases {
		errs = append(errs, fmt.Errorf("%d cases instead of %d", o.total, s.cases))
	}
	if failed := o.total - o.passed - o.excused; failed != 0 {
		errs = append(errs, fmt.Errorf("%d of %d cases failed", failed, o.total))
	}
	if carried := o.carried(); carried > s.cases || carried < s.cases-s.silent {
		errs = append(errs, fmt.Errorf("the tunnel carried %d exchanges for %d cases", carried, s.cases))
	}
	sessions := 0
	for kind, count := range o.Carried {
		protocol, method, _ := strings.Cut(kind, " ")
		if protocol != strings.ReplaceAll(through.Protocol, "-", "") {
			errs = append(errs, fmt.Errorf("the tunnel carried exchanges by %s instead of %s", kind, through.Protocol))
		}
		if method == "Session" {
			sessions += count
		} else if through.Method == "session" {
			errs = append(errs, fmt.Errorf("the tunnel carried exchanges by %s instead of by session", kind))
		}
	}
	switch {
	case through.Method == "exchange" && sessions > 0:
		errs = append(errs, fmt.Errorf("the tunnel carried %d exchanges by session", sessions))
	case through.Method == "auto" && 2*sessions < o.carried():
		errs = append(errs, fmt.Errorf("auto fell back: the tunnel carried only %d of %d exchanges by session", sessions, o.carried()))
	}
	for _, fault := range o.Faults {
		errs = append(errs, errors.New(fault))
	}
	return errors.Join(errs...)
}

// carried is the number of exchanges.
func (r *report) carried() int {
	n := 0
	for _, count := range r.Carried {
		n += count
	}
	return n
}
