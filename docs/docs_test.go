// Package docs checks what the documents say of this repository.
package docs

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// The documents that name the tests which show what they say.
var witnessed = []string{"comparisons.md", "../examples/mount/README.md"}

var (
	testName     = regexp.MustCompile("`(Test[A-Z][A-Za-z0-9]*)`")
	testFunction = regexp.MustCompile(`(?m)^func (Test[A-Z]\w*)\(\w+ \*testing\.T\)`)
	// link matches the target of a link, inline or in a list at the end.
	link = regexp.MustCompile(`(?m)\]\(([^)\s]+)\)|^\[[^\]]+\]: (\S+)$`)
	// reference matches a link by a name that such a list has.
	reference = regexp.MustCompile(`\]\[([a-z0-9-]+)\]`)
)

// Every test that a document names exists.
func TestNamedTestsExist(t *testing.T) {
	have := testFunctions(t)
	for _, document := range witnessed {
		names := testName.FindAllStringSubmatch(read(t, document), -1)
		if len(names) == 0 {
			t.Errorf("%s names no tests", document)
		}
		for _, name := range names {
			if !have[name[1]] {
				t.Errorf("%s names %s, which does not exist", document, name[1])
			}
		}
	}
}

// Everything that is said of others says where it was read.
func TestComparisonsHaveSources(t *testing.T) {
	text := read(t, "comparisons.md")
	_, table, _ := strings.Cut(text, "## HTTP inside RPCs")
	table, _, _ = strings.Cut(table, "The same rows for Culvert.")
	rows := 0
	for line := range strings.SplitSeq(table, "\n") {
		if !strings.HasPrefix(line, "| ") || strings.HasPrefix(line, "| |") {
			continue
		}
		rows++
		for i, cell := range strings.Split(strings.Trim(line, "|"), "|")[1:] {
			cell = strings.TrimSpace(cell)
			if cell != "not said" && !reference.MatchString(cell) {
				t.Errorf("no source for column %d of %s", i+1, line)
			}
		}
	}
	if rows < 10 {
		t.Errorf("found %d rows", rows)
	}
}

// Links lead to what is there, and every name of a source is used.
func TestLinks(t *testing.T) {
	documents := slices.Concat(witnessed, []string{"../README.md", "../examples/api/README.md"})
	for _, document := range documents {
		text := read(t, document)
		for _, match := range link.FindAllStringSubmatch(text, -1) {
			target, _, _ := strings.Cut(match[1]+match[2], "#")
			if target == "" || strings.Contains(target, "://") {
				continue
			}
			if _, err := os.Stat(filepath.Join(filepath.Dir(document), target)); err != nil {
				t.Errorf("%s: %v", document, err)
			}
		}
		for _, match := range reference.FindAllStringSubmatch(text, -1) {
			if !strings.Contains(text, "\n["+match[1]+"]: ") {
				t.Errorf("%s: [%s] is not in its list", document, match[1])
			}
		}
		for _, match := range regexp.MustCompile(`(?m)^\[([a-z0-9-]+)\]: `).FindAllStringSubmatch(text, -1) {
			if !strings.Contains(text, "]["+match[1]+"]") {
				t.Errorf("%s: nothing links to [%s]", document, match[1])
			}
		}
	}
}

// testFunctions returns the tests of every module.
func testFunctions(t *testing.T) map[string]bool {
	t.Helper()
	names := make(map[string]bool)
	err := filepath.WalkDir("..", func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && (entry.Name() == "node_modules" || entry.Name() == ".git"):
			return filepath.SkipDir
		case !strings.HasSuffix(path, "_test.go"):
			return nil
		}
		for _, match := range testFunction.FindAllStringSubmatch(read(t, path), -1) {
			names[match[1]] = true
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
