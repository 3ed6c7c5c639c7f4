package culvert

import (
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// pipeListener is a listener with one connection.
type pipeListener struct {
	conns  chan net.Conn
	closed sync.Once
}

func (l *pipeListener) Accept() (net.Conn, error) {
	conn, ok := <-l.conns
	if !ok {
		return nil, net.ErrClosed
	}
	return conn, nil
}

func (l *pipeListener) Close() error   { l.closed.Do(func() { close(l.conns) }); return nil }
func (l *pipeListener) Addr() net.Addr { return &net.TCPAddr{} }

// writeStalling has net/http's server write size bytes under a watch, to a client
// that takes part of them after every pause. It returns how long the write took, and
// its error.
func writeStalling(t *testing.T, bound *stalls, size, part int, pause time.Duration) (took time.Duration, err error) {
	t.Helper()
	ours, theirs := net.Pipe()
	listener := &pipeListener{conns: make(chan net.Conn, 1)}
	listener.conns <- ours
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var s stallWriter
		s.watch(w, r, bound)
		defer s.finish()
		begin := time.Now()
		_, err = s.Write(make([]byte, size))
		took = time.Since(begin)
	})}
	var serving sync.WaitGroup
	serving.Go(func() { _ = server.Serve(listener) })
	if _, err := io.WriteString(theirs, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	for room, more := make([]byte, part), true; more; {
		<-time.After(pause)
		_, readErr := io.ReadFull(theirs, room)
		more = readErr == nil
	}
	_ = server.Close()
	serving.Wait()
	return took, err
}

// A client that takes nothing is cut when the time of a stall is over, and at most
// a look later; one that takes a little all the time is not.
func TestStallWriter(t *testing.T) {
	bound := func() *stalls { return &stalls{timeout: time.Minute} }
	synctest.Test(t, func(t *testing.T) {
		took, err := writeStalling(t, bound(), 1<<20, 1, time.Hour)
		if !errors.Is(err, os.ErrDeadlineExceeded) || took < time.Minute || took > time.Minute+time.Minute/stallTicks {
			t.Errorf("a client that stands still was cut after %v: %v", took, err)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		took, err := writeStalling(t, bound(), 10*stallChunk, stallChunk, 20*time.Second)
		if err != nil || took < time.Minute {
			t.Errorf("a slow client was cut after %v: %v", took, err)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		took, err := writeStalling(t, new(stalls), 1<<20, 1<<20, time.Hour)
		if err != nil || took < time.Hour {
			t.Errorf("without a bound a client was cut after %v: %v", took, err)
		}
	})
}
