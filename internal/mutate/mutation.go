package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// table is where the mutations are, from the root of the repository.
const table = "internal/mutate/mutations.txt"

// patience bounds a mutation: its build, and its test, which has a bound of its own.
const patience = 5 * time.Minute

// mutation takes one defence away.
type mutation struct {
	defence       string
	file          string // from the root of the repository
	old, new      string
	pkg, test     string
	firstTestName string
}

// repository returns the root of the repository that the program runs in.
func repository() (string, error) {
	out, err := exec.Command("go", "env", "GOMOD").Output()
	if err != nil {
		return "", fmt.Errorf("find go.mod: %w", err)
	}
	return filepath.Dir(strings.TrimSpace(string(out))), nil
}

// readMutations reads the table: paragraphs of lines with a word, a colon and what
// it is. Lines that begin with # are comments.
func readMutations(root string) ([]mutation, error) {
	content, err := os.ReadFile(filepath.Join(root, table))
	if err != nil {
		return nil, err
	}
	var all []mutation
	for paragraph := range strings.SplitSeq(string(content), "\n\n") {
		words := make(map[string]string)
		for line := range strings.Lines(paragraph) {
			line = strings.TrimSuffix(line, "\n")
			if line == "" || strings.HasPrefix(line, "#") {
				continue
			}
			word, rest, ok := strings.Cut(line, ": ")
			if !ok && strings.HasSuffix(line, ":") {
				word, ok = strings.TrimSuffix(line, ":"), true
			}
			if _, twice := words[word]; !ok || twice {
				return nil, fmt.Errorf("read %s: %q", table, line)
			}
			words[word] = rest
		}
		if len(words) == 0 {
			continue
		}
		one := mutation{defence: words["defence"], file: words["file"], old: unescape.Replace(words["replace"]), new: unescape.Replace(words["with"])}
		one.pkg, one.test, _ = strings.Cut(words["test"], " ")
		one.firstTestName, _, _ = strings.Cut(one.test, "/")
		if one.defence == "" || one.file == "" || one.old == "" || one.firstTestName == "" {
			return nil, fmt.Errorf("read %s: %q lacks a line", table, paragraph)
		}
		all = append(all, one)
	}
	return all, nil
}

// unescape has texts of several lines in one.
var unescape = strings.NewReplacer(`\n`, "\n", `\t`, "\t")

// check reports why the mutation cannot be made, or its test cannot be run.
func (m *mutation) check(root string) error {
	if _, err := m.apply(root); err != nil {
		return err
	}
	files, err := filepath.Glob(filepath.Join(root, m.pkg, "*_test.go"))
	if err != nil {
		return err
	}
	declaration := regexp.MustCompile(`(?m)^func ` + regexp.QuoteMeta(m.firstTestName) + `\(t \*testing\.T\)`)
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		if declaration.Match(content) {
			return nil
		}
	}
	return errors.New("there is no such test")
}

// apply returns the file without the defence.
func (m *mutation) apply(root string) ([]byte, error) {
	content, err := os.ReadFile(filepath.Join(root, m.file))
	if err != nil {
		return nil, err
	}
	if n := bytes.Count(content, []byte(m.old)); n != 1 {
		return nil, fmt.Errorf("%s has %q %d times", m.file, m.old, n)
	}
	return bytes.Replace(content, []byte(m.old), []byte(m.new), 1), nil
}

// run runs the test without the defence, and returns nil if it fails.
func (m *mutation) run(ctx context.Context, root string) error {
	content, err := m.apply(root)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "mutate")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	changed, overlay := filepath.Join(dir, "changed.go"), filepath.Join(dir, "overlay.json")
	files, err := json.Marshal(map[string]any{"Replace": map[string]string{filepath.Join(root, m.file): changed}})
	if err != nil {
		return err
	}
	if err := errors.Join(os.WriteFile(changed, content, 0o600), os.WriteFile(overlay, files, 0o600)); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	// -vet=off: what is taken away may leave something unused behind. Linking takes
	// most of the time, and half of that without what debuggers read.
	command := exec.CommandContext(ctx, "go", "test", "-overlay", overlay, "-vet=off", "-ldflags=-s -w", "-count=1", "-timeout=2m", "-run", pattern(m.test), m.pkg)
	command.Dir = root
	out, err := command.CombinedOutput()
	switch {
	case err == nil:
		return errors.New("passes without it")
	case bytes.Contains(out, []byte("panic: test timed out")):
		return errors.New("hangs without it")
	case !bytes.Contains(out, []byte("--- FAIL")) && !bytes.Contains(out, []byte("panic: ")):
		return fmt.Errorf("does not run without it: %s", out)
	default:
		return nil
	}
}

// pattern matches the test and no other.
func pattern(test string) string {
	parts := strings.Split(test, "/")
	for i, part := range parts {
		parts[i] = "^" + strings.ReplaceAll(regexp.QuoteMeta(part), " ", "_") + "$"
	}
	return strings.Join(parts, "/")
}
