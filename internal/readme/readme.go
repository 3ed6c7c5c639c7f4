// Package readme lets tests run what a README tells its reader to run.
package readme

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Step is one command of a README.
type Step struct {
	// Command is a line for a shell; those that a backslash continues are one.
	Command string
	// Output is what the text says that the command prints, "" if it does not say.
	Output string
}

// block matches a block of code that begins in a line's first column: what it is
// in, and what it holds.
var block = regexp.MustCompile("(?ms)^```([a-z]*)\n(.*?)^```$")

// Steps returns the commands in the part of a README that begins with the heading
// from, to the next heading that begins with to, or to the end. They are the lines
// of its blocks in sh. A block without a language that follows one has the output
// of its last command.
func Steps(tb testing.TB, file, from, to string) []Step {
	tb.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		tb.Fatal(err)
	}
	_, rest, found := strings.Cut("\n"+string(text), "\n"+from+"\n")
	if !found {
		tb.Fatalf("%s has no heading %q", file, from)
	}
	if to != "" {
		rest, _, _ = strings.Cut(rest, "\n"+to)
	}
	var steps []Step
	after := "" // the language of the block before
	for _, match := range block.FindAllStringSubmatch(rest, -1) {
		language, code := match[1], match[2]
		switch {
		case language == "sh":
			for line := range strings.SplitSeq(strings.TrimSpace(strings.ReplaceAll(code, "\\\n", "")), "\n") {
				steps = append(steps, Step{Command: line})
			}
		case language == "" && after == "sh":
			steps[len(steps)-1].Output = code
		}
		after = language
	}
	return steps
}

// Run runs a step in a shell, with replacements made in its command, and returns
// what it printed on both outputs.
func (s Step) Run(tb testing.TB, replacements ...string) (string, error) {
	tb.Helper()
	command := exec.CommandContext(tb.Context(), "sh", "-c", strings.NewReplacer(replacements...).Replace(s.Command))
	// curl shows how far it is where it prints to anything but a terminal.
	home := tb.TempDir()
	if err := os.WriteFile(filepath.Join(home, ".curlrc"), []byte("no-progress-meter\n"), 0o600); err != nil {
		tb.Fatal(err)
	}
	command.Env = append(os.Environ(), "CURL_HOME="+home)
	out, err := command.CombinedOutput()
	return string(out), err
}

// Check runs a step, which has to print what the text says, or to go well if it
// says nothing. White space is not compared, which protobuf's JSON has at random; an
// ellipsis in the text stands for anything.
func (s Step) Check(tb testing.TB, replacements ...string) {
	tb.Helper()
	out, err := s.Run(tb, replacements...)
	if s.Output == "" && err != nil || !s.prints(out) {
		tb.Errorf("%s: %v\nprints\n%s\nwhere the text has\n%s", s.Command, err, out, s.Output)
	}
}

func (s Step) prints(out string) bool {
	var expr strings.Builder
	for i, part := range strings.Split(squeeze(s.Output), "…") {
		if i > 0 {
			expr.WriteString(".*")
		}
		expr.WriteString(regexp.QuoteMeta(part))
	}
	return s.Output == "" || regexp.MustCompile("^"+expr.String()+"$").MatchString(squeeze(out))
}

// squeeze takes out all white space.
func squeeze(s string) string { return strings.Join(strings.Fields(s), "") }

// Need ends a test if a program is missing: with the line that installs it, and as
// a failure where everything has to be there.
func Need(tb testing.TB, program, install string) {
	tb.Helper()
	if _, err := exec.LookPath(program); err == nil {
		return
	}
	if os.Getenv("CI") == "true" {
		tb.Fatalf("%s is not installed: %s", program, install)
	}
	tb.Skipf("%s is not installed: %s", program, install)
}

// NeedTools is [Need] for curl and grpcurl.
func NeedTools(tb testing.TB) {
	tb.Helper()
	Need(tb, "curl", "apt-get install curl")
	Need(tb, "grpcurl", "go install github.com/fullstorydev/grpcurl/cmd/grpcurl@v1.9.4")
}
