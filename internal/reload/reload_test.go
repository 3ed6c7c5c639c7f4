package reload

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// round is a little more than it takes to notice a change: it is read, and read
// again.
const round = 2*Interval + Interval/2

// watched is a folder with files that are watched, in a bubble of synctest.
type watched struct {
	testing.TB
	dir string

	mu  sync.Mutex
	log strings.Builder
	// loads is what was loaded, one entry each time.
	loads []string
}

// watch watches files in a new folder. A file with BAD in it cannot be loaded.
func watch(tb testing.TB, names []string, write func(*watched)) *watched {
	tb.Helper()
	w := &watched{TB: tb, dir: tb.TempDir()}
	write(w)
	paths := make([]string, len(names))
	for i, name := range names {
		paths[i] = filepath.Join(w.dir, name)
	}
	files, err := Watch(paths, w.load, slog.New(slog.NewTextHandler(w, nil)))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(files.Close)
	return w
}

func (w *watched) load(contents [][]byte) error {
	all := string(bytes.Join(contents, []byte("+")))
	if strings.Contains(all, "BAD") {
		return errors.New("it is " + all)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.loads = append(w.loads, all)
	return nil
}

// Write implements io.Writer, for the log.
func (w *watched) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.log.Write(p)
}

func (w *watched) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

func (w *watched) path(name string) string { return filepath.Join(w.dir, name) }

func (w *watched) write(name, content string) {
	w.Helper()
	w.must(os.WriteFile(w.path(name), []byte(content), 0o600))
}

// expect lets the time of d pass and looks at what has been loaded, and how often
// there was something to complain of.
func (w *watched) expect(d time.Duration, loads string, complaints int) {
	w.Helper()
	<-time.After(d)
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	if got := strings.Join(w.loads, " "); got != loads {
		w.Errorf("loaded %q, want %q", got, loads)
	}
	if got := strings.Count(w.log.String(), "level=ERROR"); got != complaints {
		w.Errorf("%d complaints, want %d:\n%s", got, complaints, w.log.String())
	}
}

func TestFilesAreLoadedWhenTheyChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := watch(t, []string{"a", "b"}, func(w *watched) {
			w.write("a", "a1")
			w.write("b", "b1")
		})
		w.expect(time.Hour, "a1+b1", 0)
		w.write("b", "b2")
		w.expect(round, "a1+b1 a1+b2", 0)
		w.must(os.Rename(w.path("a"), w.path("b")))
		w.write("a", "a3")
		w.expect(round, "a1+b1 a1+b2 a3+a1", 0)
	})
}

func TestFilesThatKeepChangingAreNotLoaded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := watch(t, []string{"a"}, func(w *watched) { w.write("a", "a1") })
		for i := range 10 {
			w.write("a", strings.Repeat("x", i+1))
			w.expect(Interval, "a1", 0)
		}
		w.write("a", "a2")
		w.expect(round, "a1 a2", 0)
	})
}

// A volume of Kubernetes has links to files in a folder that is a link itself,
// which is replaced.
func TestFolderBehindALinkIsSwapped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := watch(t, []string{"a", "b"}, func(w *watched) {
			for _, version := range []string{"1", "2"} {
				w.must(os.Mkdir(w.path(version), 0o700))
				w.write(version+"/a", "a"+version)
				w.write(version+"/b", "b"+version)
			}
			w.must(os.Symlink("1", w.path("..data")))
			w.must(os.Symlink("..data/a", w.path("a")))
			w.must(os.Symlink("..data/b", w.path("b")))
		})
		w.must(os.Symlink("2", w.path("..tmp")))
		w.must(os.Rename(w.path("..tmp"), w.path("..data")))
		w.must(os.RemoveAll(w.path("1")))
		w.expect(round, "a1+b1 a2+b2", 0)
	})
}

func TestWhatCannotBeLoadedIsLoggedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := watch(t, []string{"a"}, func(w *watched) { w.write("a", "a1") })
		w.write("a", "BAD1")
		w.expect(time.Hour, "a1", 1)
		w.write("a", "BAD2")
		w.expect(time.Hour, "a1", 2)
		w.must(os.Remove(w.path("a")))
		w.expect(time.Hour, "a1", 3)
		w.write("a", "a1")
		w.expect(time.Hour, "a1 a1", 3)
		w.must(os.Remove(w.path("a")))
		w.expect(time.Hour, "a1 a1", 4)
	})
}

func TestWatchFailsAtOnce(t *testing.T) {
	dir := t.TempDir()
	bad, large := filepath.Join(dir, "bad"), filepath.Join(dir, "large")
	for path, size := range map[string]int{bad: 1, large: maxFileSize + 1} {
		if err := os.WriteFile(path, make([]byte, size), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	refuse := func([][]byte) error { return errors.New("no good") }
	for _, test := range []struct{ path, want string }{
		{bad, "no good"},
		{large, "read " + large + ": larger than 1048576 bytes"},
		{os.DevNull, "read " + os.DevNull + ": not a regular file"},
		{dir, "read " + dir + ": not a regular file"},
		{filepath.Join(dir, "none"), "read " + filepath.Join(dir, "none") + ": no such file or directory"},
	} {
		if _, err := Watch([]string{test.path}, refuse, slog.Default()); err == nil || err.Error() != test.want {
			t.Errorf("Watch(%s) = %v, want %s", test.path, err, test.want)
		}
	}
}
