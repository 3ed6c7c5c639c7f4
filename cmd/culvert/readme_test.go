package main

import (
	"bufio"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/culvert-http/culvert/internal/readme"
)

// TestREADME runs the lines of README.md that talk to the server of its first
// command, as they are printed but for the port.
func TestREADME(t *testing.T) {
	t.Parallel()
	readme.NeedTools(t)
	steps := readme.Steps(t, "../../README.md", "### curl", "## ")
	if len(steps) < 8 {
		t.Fatalf("found %d lines to run, want those of curl and of grpcurl", len(steps))
	}
	address := serveDemo(t)
	for _, step := range steps {
		out, err := step.Run(t,
			"localhost:8080", address,
			"go tool -modfile=tools.mod grpcurl", "grpcurl", // which is the same, built already
		)
		if err != nil || out == "" || strings.Contains(out, `"code":`) {
			t.Errorf("%s: %v\n%s", step.Command, err, out)
		}
	}
}

// serveDemo starts culvert serve with the demo application and returns its
// address.
func serveDemo(t *testing.T) string {
	t.Helper()
	binary, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	command := exec.CommandContext(t.Context(), binary, "serve", "--listen", "127.0.0.1:0", "--log-format", "text")
	command.Args[0] = "culvert" // see TestMain
	stderr, err := command.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`listening on http://(\S+)`)
	lines := bufio.NewScanner(stderr)
	for lines.Scan() {
		if match := found.FindStringSubmatch(lines.Text()); match != nil {
			go func() { _, _ = io.Copy(io.Discard, stderr) }()
			t.Cleanup(func() {
				_ = command.Process.Kill()
				_ = command.Wait()
			})
			return match[1]
		}
	}
	t.Fatal("culvert serve does not listen")
	return ""
}
