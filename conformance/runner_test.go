package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// What the runner printed for a run with a case that failed, shortened.
const runnerOutput = `Computed 232 config case permutations.
Loaded 15 test suite(s), 90 test case template(s).
Computed 1900 test case permutation(s) across 6 server configuration(s).
Filtered tests to 4 test case permutation(s) across 2 server configuration(s).
Running 2 tests with reference-client for server config #1 {HTTP_VERSION_1, PROTOCOL_CONNECT, TLS:false}...
FAILED: Errors/HTTPVersion:2/Protocol:PROTOCOL_GRPC/(grpc client impl)/unary/error:
	actual error {code: 14 (unavailable)} does not match expected code 13 (internal)

Total cases: 4
2 passed, 1 failed
(Another 1 failed as expected due to being known failures/flakes.)
`

func TestRunnerSummary(t *testing.T) {
	for _, piece := range []int{1, 7, len(runnerOutput)} {
		var details bytes.Buffer
		s := &runnerSummary{details: &details}
		for chunk := range slices.Chunk([]byte(runnerOutput), piece) {
			if _, err := s.Write(chunk); err != nil {
				t.Fatal(err)
			}
		}
		if s.computed != 4 || s.total != 4 || s.passed != 2 || s.excused != 1 || !s.finished {
			t.Errorf("in pieces of %d bytes: %+v", piece, s)
		}
		want := []string{"Errors/HTTPVersion:2/Protocol:PROTOCOL_GRPC/(grpc client impl)/unary/error"}
		if !slices.Equal(s.failures, want) {
			t.Errorf("failures are %q, want %q", s.failures, want)
		}
		if text := details.String(); !strings.Contains(text, "does not match") || strings.Contains(text, "Running") {
			t.Errorf("details are %q", text)
		}
	}
}

func TestRunRunner(t *testing.T) {
	program := filepath.Join(t.TempDir(), "runner")
	write := func(script string) {
		t.Helper()
		if err := os.WriteFile(program, []byte("#!/bin/sh\n"+script), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	write("echo 'Total cases: 7'; echo '7 passed, 0 failed'; exit 1")
	s, err := runRunner(t.Context(), program, nil, t.Output())
	if err != nil || s.total != 7 || s.passed != 7 || s.exit == nil {
		t.Errorf("a runner that fails after its result: %+v, %v", s, err)
	}
	write("echo 'Total cases: 7'")
	if s, err := runRunner(t.Context(), program, nil, t.Output()); err == nil {
		t.Errorf("a runner without a result: %+v, no error", s)
	}
	write("echo 'hanging'; sleep 1000")
	ctx, cancel := context.WithCancel(t.Context())
	s, err = runRunner(ctx, program, nil, writerFunc(cancel))
	if err != nil || s.finished {
		t.Errorf("a runner that hangs: %+v, %v", s, err)
	}
}

// writerFunc is called when something is written.
type writerFunc func()

func (f writerFunc) Write(p []byte) (int, error) {
	f()
	return len(p), nil
}

func TestCheckFindsWhatIsWrong(t *testing.T) {
	s := suite{name: "server", cases: 10, silent: 2}
	through := &passageFlags{Protocol: "grpc-web", Method: "auto"}
	good := func() *outcome {
		return &outcome{
			&runnerSummary{total: 10, passed: 10, finished: true},
			&report{Carried: map[string]int{"grpcweb Exchange": 2, "grpcweb Session": 7}},
		}
	}
	if err := s.check(good(), through); err != nil {
		t.Fatalf("a good outcome: %v", err)
	}
	for name, spoil := range map[string]func(*outcome){
		"fewer cases":             func(o *outcome) { o.total, o.passed = 9, 9 },
		"a case that failed":      func(o *outcome) { o.passed-- },
		"one beside an excused":   func(o *outcome) { o.passed, o.excused = 8, 1 },
		"a runner that failed":    func(o *outcome) { o.exit = errors.New("exit status 1") },
		"a tunnel gone round":     func(o *outcome) { o.Carried = nil },
		"exchanges gone round":    func(o *outcome) { o.Carried["grpcweb Session"] -= 2 },
		"exchanges sent twice":    func(o *outcome) { o.Carried["grpcweb Session"] += 2 },
		"auto that fell back":     func(o *outcome) { o.Carried = map[string]int{"grpcweb Exchange": 9} },
		"another protocol":        func(o *outcome) { o.Carried = map[string]int{"grpc Exchange": 10} },
		"a fault of the commands": func(o *outcome) { o.Faults = []string{"panic"} },
	} {
		o := good()
		spoil(o)
		if err := s.check(o, through); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestReports(t *testing.T) {
	folder := t.TempDir()
	for range 2 {
		s := subject{Report: folder}
		err := s.run(func(r *report) error {
			r.count("grpc Exchange", 3)
			return errors.New("broken")
		})
		if err == nil {
			t.Fatal("run() hides the error of the subject")
		}
	}
	sum, err := readReports(folder)
	if err != nil {
		t.Fatal(err)
	}
	if sum.carried() != 6 || len(sum.Faults) != 2 {
		t.Errorf("readReports() = %+v", sum)
	}
}

func TestExceptions(t *testing.T) {
	for _, s := range suites {
		names, err := s.exceptionNames()
		if err != nil {
			t.Fatal(err)
		}
		if s.mode == "server" && len(names) > 0 {
			t.Errorf("suite %s has %d exceptions, want none", s.name, len(names))
		}
	}
}
