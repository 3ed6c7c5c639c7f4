package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// subject is what the server and the client under test have in common.
type subject struct {
	programs
	passageFlags

	Report string `help:"Folder that a report is written to at the end." placeholder:"DIR"`
}

// passageFlags say what stands between the runner and its reference.
type passageFlags struct {
	Through  string `enum:"tunnel,reverseproxy" default:"tunnel" help:"What is tested: tunnel or reverseproxy."`
	Protocol string `default:"grpc" help:"--protocol of culvert gateway."`
	Method   string `default:"auto" help:"--method of culvert gateway."`
}

func (f *passageFlags) args() []string {
	return []string{"--through", f.Through, "--protocol", f.Protocol, "--method", f.Method}
}

// report is what a subject has to tell to the program that runs the suite. The
// runner looks at nothing but the outcome of RPCs.
type report struct {
	// Carried are the exchanges by RPC protocol and method, as culvert serve's log
	// has them: the proof that they went through the tunnel.
	Carried map[string]int
	// Faults are what was wrong beside the outcome of RPCs: panics, exchanges that
	// did not end, unclean exits.
	Faults []string
}

func (r *report) add(other *report) {
	for kind, n := range other.Carried {
		r.count(kind, n)
	}
	r.Faults = append(r.Faults, other.Faults...)
}

func (r *report) count(kind string, n int) {
	if r.Carried == nil {
		r.Carried = make(map[string]int)
	}
	r.Carried[kind] += n
}

func (r *report) fault(err error) {
	if err != nil {
		r.Faults = append(r.Faults, err.Error())
	}
}

// run runs the subject and writes its report.
func (s *subject) run(test func(*report) error) error {
	r := new(report)
	err := test(r)
	r.fault(err)
	if s.Report == "" {
		return err
	}
	return errors.Join(err, r.write(s.Report))
}

func (r *report) write(folder string) error {
	file, err := os.CreateTemp(folder, "*.json")
	if err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	err = json.NewEncoder(file).Encode(r)
	if err := errors.Join(err, file.Close()); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	return nil
}

// readReports sums up the reports in a folder.
func readReports(folder string) (*report, error) {
	files, err := filepath.Glob(filepath.Join(folder, "*.json"))
	if err != nil {
		return nil, fmt.Errorf("read reports: %w", err)
	}
	sum := new(report)
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("read reports: %w", err)
		}
		one := new(report)
		if err := json.Unmarshal(text, one); err != nil {
			return nil, fmt.Errorf("read report %s: %w", file, err)
		}
		sum.add(one)
	}
	return sum, nil
}
