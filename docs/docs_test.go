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
var witnessed = []string{"comparisons.md", "../SECURITY.md", "../examples/mount/README.md"}

var (
	testName = regexp.MustCompile("`(Test[A-Z][A-Za-z0-9]*)`")
	// place is a file of tests, or a folder of them.
	place        = regexp.MustCompile("`([a-z0-9_/]+_test\\.go|internal/[a-z0-9_/]+)`")
	testFunction = regexp.MustCompile(`(?m)^func (Test[A-Z]\w*)\(\w+ \*testing\.T\)`)
	// link matches the target of a link, inline or in a list at the end.
	link = regexp.MustCompile(`(?m)\]\(([^)\s]+)\)|^\[[^\]]+\]: (\S+)$`)
	// reference matches a link by a name that such a list has.
	reference = regexp.MustCompile(`\]\[([a-z0-9-]+)\]`)
)

// Every test that a document names exists, and so does every file of tests.
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
		for _, name := range place.FindAllStringSubmatch(read(t, document), -1) {
			if _, err := os.Stat(filepath.Join("..", name[1])); err != nil {
				t.Errorf("%s: %v", document, err)
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
	documents := files(t, ".md")
	if len(documents) < 20 {
		t.Fatalf("found %d documents", len(documents))
	}
	for _, document := range documents {
		text := read(t, document)
		for _, match := range link.FindAllStringSubmatch(text, -1) {
			target, anchor, _ := strings.Cut(match[1]+match[2], "#")
			if strings.Contains(target, "://") {
				continue
			}
			file := document
			if target != "" {
				file = filepath.Join(filepath.Dir(document), target)
			}
			if _, err := os.Stat(file); err != nil {
				t.Errorf("%s: %v", document, err)
			} else if anchor != "" && !slices.Contains(anchors(read(t, file)), anchor) {
				t.Errorf("%s: %s has no heading for #%s", document, file, anchor)
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

// anchors returns what GitHub makes of headings.
func anchors(text string) []string {
	var all []string
	for _, heading := range regexp.MustCompile(`(?m)^#+ (.+)$`).FindAllStringSubmatch(text, -1) {
		plain := regexp.MustCompile(`[^\p{L}\p{N} _-]`).ReplaceAllString(strings.ToLower(heading[1]), "")
		all = append(all, strings.ReplaceAll(plain, " ", "-"))
	}
	return all
}

// testFunctions returns the tests of every module.
func testFunctions(t *testing.T) map[string]bool {
	t.Helper()
	names := make(map[string]bool)
	for _, file := range files(t, "_test.go") {
		for _, match := range testFunction.FindAllStringSubmatch(read(t, file), -1) {
			names[match[1]] = true
		}
	}
	return names
}

// files returns the files of this repository whose names end so.
func files(t *testing.T, suffix string) []string {
	t.Helper()
	var all []string
	err := filepath.WalkDir("..", func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && (entry.Name() == "node_modules" || entry.Name() == ".git"):
			return filepath.SkipDir
		case strings.HasSuffix(path, suffix):
			all = append(all, path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
