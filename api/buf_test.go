// Package api_test checks what stands beside the .proto files: the configuration
// of buf and the examples of the protocol's text.
package api_test

import (
	"os"
	"regexp"
	"slices"
	"testing"
)

// Older versions of buf read buf.work.yaml, current ones buf.yaml: see
// docs/adr/0001-bufs-three-files.md. Both have to name the same directories.
func TestBufFilesNameTheSameDirectories(t *testing.T) {
	modules := matches(t, "../buf.yaml", `(?m)^ +- path: (\S+)$`)
	directories := matches(t, "../buf.work.yaml", `(?m)^ +- (\S+)$`)
	if !slices.Equal(modules, directories) {
		t.Errorf("buf.yaml has the modules %q, buf.work.yaml the directories %q", modules, directories)
	}
	for _, directory := range directories {
		if info, err := os.Stat("../" + directory); err != nil || !info.IsDir() {
			t.Errorf("%s is not a directory (%v)", directory, err)
		}
	}
}

// matches returns the first group of every match of expr in a file, sorted.
func matches(t *testing.T, file, expr string) []string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, match := range regexp.MustCompile(expr).FindAllSubmatch(text, -1) {
		found = append(found, string(match[1]))
	}
	if len(found) == 0 {
		t.Fatalf("nothing in %s matches %s", file, expr)
	}
	slices.Sort(found)
	return found
}
