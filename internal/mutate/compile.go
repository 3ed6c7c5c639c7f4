package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
)

// compiler finds out whether mutations compile, without a build of each: what
// does not, would never be seen to fail its test.
type compiler struct {
	root     string
	sources  map[string]*sources // by folder
	set      *token.FileSet
	importer types.Importer // of what has been built
}

// sources is a package without its tests.
type sources struct {
	importPath string
	files      []string
}

// newCompiler builds what the packages with mutations import.
func newCompiler(root string, all []mutation) (*compiler, error) {
	args := []string{"list", "-export", "-deps", "-json=Dir,ImportPath,GoFiles,Export"}
	seen := make(map[string]bool)
	for _, one := range all {
		if dir := "./" + filepath.ToSlash(filepath.Dir(one.file)); !seen[dir] {
			seen[dir] = true
			args = append(args, dir)
		}
	}
	command := exec.Command("go", args...)
	command.Dir = root
	command.Stderr = os.Stderr
	out, err := command.Output()
	if err != nil {
		return nil, fmt.Errorf("list packages: %w", err)
	}
	exports := make(map[string]string) // files, by the paths of packages
	open := func(path string) (io.ReadCloser, error) { return os.Open(exports[path]) }
	c := &compiler{root: root, sources: make(map[string]*sources), set: token.NewFileSet()}
	c.importer = importer.ForCompiler(c.set, "gc", open)
	for decoder := json.NewDecoder(bytes.NewReader(out)); ; {
		var found struct {
			Dir, ImportPath, Export string
			GoFiles                 []string
		}
		if err := decoder.Decode(&found); errors.Is(err, io.EOF) {
			return c, nil
		} else if err != nil {
			return nil, fmt.Errorf("list packages: %w", err)
		}
		exports[found.ImportPath] = found.Export
		c.sources[found.Dir] = &sources{found.ImportPath, found.GoFiles}
	}
}

// check reports what the compiler would not take of a package with a mutation.
func (c *compiler) check(m *mutation) error {
	changed, err := m.apply(c.root)
	if err != nil {
		return err
	}
	dir := filepath.Join(c.root, filepath.Dir(m.file))
	var files []*ast.File
	for _, name := range c.sources[dir].files {
		var content any
		if name == filepath.Base(m.file) {
			content = changed
		}
		file, err := parser.ParseFile(c.set, filepath.Join(dir, name), content, parser.SkipObjectResolution)
		if err != nil {
			return fmt.Errorf("does not compile: %w", err)
		}
		files = append(files, file)
	}
	config := types.Config{Importer: c.importer, GoVersion: "go1.26"}
	if _, err := config.Check(c.sources[dir].importPath, c.set, files, nil); err != nil {
		return fmt.Errorf("does not compile: %w", err)
	}
	return nil
}
