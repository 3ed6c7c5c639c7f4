// Package reload keeps what was made of files current while they change.
package reload

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"slices"
	"sync"
	"time"
)

const (
	// Interval is how often files are read again.
	Interval = time.Second
	// maxFileSize bounds a file.
	maxFileSize = 1 << 20
)

// A Load makes something of the contents of files, in the order of their paths.
// The next one is not called before it returns. Where it fails, what an earlier
// one made stays in use.
type Load func(contents [][]byte) error

// Files are files that are loaded again when their contents change. They are
// read every [Interval] and compared: that takes microseconds for files of this
// kind, and sees what notifications of the operating system do not: changes on
// network file systems, and behind several links, as a volume of Kubernetes has
// them.
type Files struct {
	paths  []string
	load   Load
	logger *slog.Logger
	// loaded is what was loaded last, and failure what came of it.
	loaded  [][]byte
	failure error
	// logged is the failure that was logged last, empty if all is well again.
	logged string

	stop    context.CancelFunc
	stopped sync.WaitGroup
}

// Watch loads the files, and loads them again when they have changed, until
// [Files.Close]. Only the failure of the first time is returned: later ones go to
// logger, once each. There must be at least one path.
func Watch(paths []string, load Load, logger *slog.Logger) (*Files, error) {
	f := &Files{paths: slices.Clone(paths), load: load, logger: logger}
	contents, err := readFiles(f.paths)
	if err != nil {
		return nil, err
	}
	if err := load(contents); err != nil {
		return nil, err
	}
	f.loaded = contents
	ctx, stop := context.WithCancel(context.Background())
	f.stop = stop
	f.stopped.Go(func() { f.watch(ctx) })
	return f, nil
}

// Close ends the watch. When it returns, nothing is loaded any more.
func (f *Files) Close() {
	f.stop()
	f.stopped.Wait()
}

func (f *Files) watch(ctx context.Context) {
	ticker := time.NewTicker(Interval)
	defer ticker.Stop()
	// seen is what the last round read. Files that change together do not change at
	// the same instant: what is read twice is taken to be complete.
	seen := f.loaded
	for {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
		contents, err := readFiles(f.paths)
		if err != nil {
			f.report(err)
			continue
		}
		if equal(contents, seen) {
			f.reload(contents)
		}
		seen = contents
	}
}

func (f *Files) reload(contents [][]byte) {
	if !equal(contents, f.loaded) {
		f.loaded, f.failure = contents, f.load(contents)
		if f.failure == nil {
			f.logger.Info("files changed and were loaded again", "files", f.paths)
		}
	}
	f.report(f.failure)
}

// report logs a failure once, for as long as it is the same.
func (f *Files) report(err error) {
	text := ""
	if err != nil {
		text = err.Error()
	}
	if text != "" && text != f.logged {
		f.logger.Error("files changed and cannot be used: what was loaded before stays", "err", text)
	}
	f.logged = text
}

func equal(a, b [][]byte) bool { return slices.EqualFunc(a, b, slices.Equal) }

func readFiles(paths []string) ([][]byte, error) {
	contents := make([][]byte, len(paths))
	for i, path := range paths {
		content, err := readFile(path)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", path, err)
		}
		contents[i] = content
	}
	return contents, nil
}

func readFile(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, withoutPath(err)
	}
	if !info.Mode().IsRegular() { // to open a pipe would wait for its other end
		return nil, errors.New("not a regular file")
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, withoutPath(err)
	}
	defer file.Close()
	content, err := io.ReadAll(io.LimitReader(file, maxFileSize+1))
	if err != nil {
		return nil, withoutPath(err)
	}
	if len(content) > maxFileSize {
		return nil, fmt.Errorf("larger than %d bytes", maxFileSize)
	}
	return content, nil
}

func withoutPath(err error) error {
	if pathErr, ok := errors.AsType[*fs.PathError](err); ok {
		return pathErr.Err
	}
	return err
}
