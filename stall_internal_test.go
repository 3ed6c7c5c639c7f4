package culvert

import (
	"errors"
	"io"
	"net"
	"os"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

const stallTestTimeout = time.Minute

// after lets the time of a bubble pass.
func after(d time.Duration) { <-time.After(d) }

func newTestWatch() (watch *stallWatch, interrupted *atomic.Int32) {
	writer := new(interruptedWriter)
	watch = new(stallWatch)
	watch.start(&stalls{timeout: stallTestTimeout}, writer)
	return watch, &writer.Int32
}

// interruptedWriter counts how often it was interrupted.
type interruptedWriter struct{ atomic.Int32 }

func (w *interruptedWriter) interruptWrites() { w.Add(1) }

// A write that waits is interrupted when the time is over, and not long after that;
// one that begins meanwhile has all the time again.
func TestStallWatchInterruptsWhatWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		watch, interrupted := newTestWatch()
		defer watch.stop()
		watch.begin()
		after(stallTestTimeout / 10 * 7)
		watch.begin()
		watch.end()
		after(stallTestTimeout - time.Nanosecond)
		synctest.Wait()
		if interrupted.Load() > 0 {
			t.Fatal("interrupted before the timeout was over")
		}
		after(stallTestTimeout/stallTicks + time.Nanosecond)
		synctest.Wait()
		if interrupted.Load() != 1 || !watch.stalled() {
			t.Fatalf("interrupted %d times, and stalled is %t", interrupted.Load(), watch.stalled())
		}
	})
}

// Writes that do not wait are never interrupted, however long they go on, nor is
// what begins after a pause.
func TestStallWatchLeavesWhatDoesNotWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		watch, interrupted := newTestWatch()
		defer watch.stop()
		for i := range 40 {
			watch.begin()
			after(stallTestTimeout * 9 / 10)
			watch.end()
			after(time.Duration(i%4) * stallTestTimeout)
		}
		synctest.Wait()
		if interrupted.Load() > 0 {
			t.Fatalf("interrupted %d times", interrupted.Load())
		}
	})
}

// A transport may be closed while a connection of its is being opened.
func TestStallWatchStopsBeforeItHasBegun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		writer := new(interruptedWriter)
		watch := new(stallWatch)
		watch.stop()
		watch.start(&stalls{timeout: stallTestTimeout}, writer)
		watch.begin()
		after(2 * stallTestTimeout)
		synctest.Wait()
		if writer.Load() > 0 {
			t.Error("interrupted what was stopped")
		}
	})
}

// A connection whose peer takes nothing fails, as it does with net/http's own bound;
// one whose peer takes a little at a time does not.
func TestClientConnFailsWhereNothingIsTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		conns := &clientConns{conns: make(map[*clientConn]struct{}), stalls: stalls{timeout: stallTestTimeout}}
		conn := &clientConn{Conn: near, conns: conns}
		conns.boundWrites(conn)
		defer conn.Close()
		defer time.AfterFunc(100*stallTestTimeout, func() { _ = far.Close() }).Stop() // or it would never fail
		defer far.Close()
		go func() {
			for range 5 {
				after(stallTestTimeout * 9 / 10)
				_, _ = io.ReadFull(far, make([]byte, 10))
			}
		}()
		began := time.Now()
		n, err := conn.Write(make([]byte, 60))
		if n != 50 || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("wrote %d bytes, error %v", n, err)
		}
		if took := time.Since(began); took < 5*stallTestTimeout || took > 9*stallTestTimeout {
			t.Fatalf("gave up after %s", took)
		}
	})
}

// A client that takes less than it should of what a gateway writes to a connection
// that it has taken over, is taken for one that has stopped.
func TestStallConnFailsWhereTooLittleIsTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		conn := newStallConn(near, &stalls{timeout: stallTestTimeout})
		defer near.Close()
		defer time.AfterFunc(100*stallTestTimeout, func() { _ = far.Close() }).Stop() // or it would never fail
		defer far.Close()
		defer conn.stop()
		go func() {
			for range 3 {
				_, _ = io.ReadFull(far, make([]byte, stallChunk))
				after(stallTestTimeout * 9 / 10)
			}
			_, _ = io.ReadFull(far, make([]byte, 10))
		}()
		n, err := conn.Write(make([]byte, 4*stallChunk))
		if n != 3*stallChunk+10 || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("wrote %d bytes, error %v", n, err)
		}
	})
}
