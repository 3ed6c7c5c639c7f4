package main

import (
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

// TestFlagsAreTested fails if a flag of any command is set in no test: in a script,
// or in Go. A line that expects bad usage is none: what the flag does shows nowhere.
func TestFlagsAreTested(t *testing.T) {
	parser, err := kong.New(newCommands(), parserOptions(io.Discard, io.Discard)...)
	must(t, err)
	tests := testTexts(t)
	flags := 0
	for _, command := range parser.Model.Leaves(false) {
		for _, flag := range command.Flags {
			flags++
			if !namesFlag(flag).MatchString(tests) {
				t.Errorf("%s --%s is set in no test", command.FullPath(), flag.Name)
			}
		}
	}
	if flags < 100 {
		t.Errorf("found %d flags", flags)
	}
}

// namesFlag matches a flag on a command line, or the variable that stands for it.
func namesFlag(flag *kong.Flag) *regexp.Regexp {
	names := []string{`--(no-)?` + regexp.QuoteMeta(flag.Name)}
	if flag.Short != 0 {
		names = append(names, `[\s"]-`+string(flag.Short))
	}
	names = append(names, flag.Envs...)
	return regexp.MustCompile("(?:" + strings.Join(names, "|") + `)(?:[^\w-]|$)`)
}

// testTexts returns the scripts and the tests, but for what expects bad usage.
func testTexts(t *testing.T) string {
	t.Helper()
	var texts strings.Builder
	for _, pattern := range []string{"*_test.go", "testdata/script/*.txtar"} {
		files, err := filepath.Glob(pattern)
		must(t, err)
		for _, file := range files {
			content, err := os.ReadFile(file)
			must(t, err)
			lines := slices.Collect(strings.Lines(string(content)))
			for _, line := range slices.DeleteFunc(lines, func(line string) bool {
				return strings.HasPrefix(line, "usage ")
			}) {
				texts.WriteString(line)
			}
		}
	}
	return texts.String()
}
