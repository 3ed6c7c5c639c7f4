package supervisor

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
)

// maxSocketPath is the least of the limits that systems have: that of macOS, of
// 104 bytes with a zero at the end.
const maxSocketPath = 103

// socket is the path of a unix socket in a folder of its own, which is for this
// user alone.
type socket struct{ dir, path string }

func newSocket() (*socket, error) {
	dir, err := os.MkdirTemp("", "culvert-") // of mode 0700
	if err != nil {
		return nil, fmt.Errorf("make folder of the socket: %w", err)
	}
	s := &socket{dir: dir, path: filepath.Join(dir, "app.sock")}
	if len(s.path) > maxSocketPath {
		s.remove()
		return nil, fmt.Errorf("make folder of the socket: %s is longer than %d bytes; set TMPDIR to a shorter path", s.path, maxSocketPath)
	}
	return s, nil
}

// clear removes what an earlier process has left, which many servers take for one
// that runs.
func (s *socket) clear() error {
	if err := os.Remove(s.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove old socket: %w", err)
	}
	return nil
}

// listens reports whether a connection can be opened.
func (s *socket) listens() bool {
	conn, err := net.Dial("unix", s.path)
	if err != nil {
		return false
	}
	_ = conn.Close()
	return true
}

func (s *socket) remove() { _ = os.RemoveAll(s.dir) }
