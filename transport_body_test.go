package culvert_test

import (
	"io"
	"sync"
	"sync/atomic"
)

// closeRecorder is a body that knows whether it was closed.
type closeRecorder struct {
	io.Reader
	closed atomic.Bool
}

func (c *closeRecorder) Close() error {
	c.closed.Store(true)
	return nil
}

// readRecorder is a body that knows whether it was read.
type readRecorder struct {
	io.ReadCloser
	once  sync.Once
	first chan struct{} // closed by the first Read
}

func (r *readRecorder) Read(p []byte) (int, error) {
	r.once.Do(func() { close(r.first) })
	return r.ReadCloser.Read(p)
}

func (r *readRecorder) wasRead() bool {
	select {
	case <-r.first:
		return true
	default:
		return false
	}
}
