package bridge

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"testing"
	"testing/synctest"
	"time"

	culvertv1 "github.com/culvert-http/culvert/api/culvert/v1"
)

const (
	canceled         = culvertv1.Cause_CAUSE_CANCELED
	deadlineExceeded = culvertv1.Cause_CAUSE_DEADLINE_EXCEEDED
	malformedRequest = culvertv1.Cause_CAUSE_MALFORMED_REQUEST
)

func withHeadTimeout(d time.Duration) func(*Server) {
	return func(s *Server) { s.HeadTimeout = d }
}

func withIdleTimeout(d time.Duration) func(*Server) {
	return func(s *Server) { s.IdleTimeout = d }
}

// after waits in a bubble's time.
func after(d time.Duration) { <-time.After(d) }

func TestHeadTimeout(t *testing.T) {
	never := func(http.ResponseWriter, *http.Request) { t.Error("the handler ran") }
	synctest.Test(t, func(t *testing.T) {
		s := serve(t, newMemoryStream(10), never, withHeadTimeout(10*time.Second))
		s.expectEnd(t, deadlineExceeded, 10*time.Second)
	})
	synctest.Test(t, func(t *testing.T) { // empty messages are no head
		s := serve(t, newMemoryStream(10), never, withHeadTimeout(10*time.Second))
		for range 4 {
			after(3 * time.Second)
			s.request(&requestFrame{})
		}
		s.expectEnd(t, deadlineExceeded, 12*time.Second)
	})
	synctest.Test(t, func(t *testing.T) { // and it does not count once the head is there
		s := serve(t, newMemoryStream(10), func(_ http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
		}, withHeadTimeout(10*time.Second))
		s.request(postFrame())
		after(time.Hour)
		s.request(endFrame())
		s.halfClose()
		s.expectEnd(t, 0, time.Hour)
	})
}

func TestIdleTimeoutBeginsAnewWithEveryMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var readErr error
		s := serve(t, newMemoryStream(10), func(_ http.ResponseWriter, r *http.Request) {
			_, readErr = io.Copy(io.Discard, r.Body)
		}, withIdleTimeout(5*time.Minute))
		s.request(postFrame())
		for range 10 {
			after(4 * time.Minute)
			s.request(dataFrame("x"))
		}
		s.expectEnd(t, deadlineExceeded, 45*time.Minute)
		if !errors.Is(readErr, context.DeadlineExceeded) {
			t.Errorf("the handler saw %v", readErr)
		}
	})
}

// Long polling: what goes out shows that both ends are alive.
func TestIdleTimeoutBeginsAnewWithEveryWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t, newMemoryStream(100), func(w http.ResponseWriter, r *http.Request) {
			read := make(chan struct{})
			go func() {
				defer close(read)
				_, _ = io.Copy(io.Discard, r.Body)
			}()
			for range 10 {
				after(4 * time.Minute)
				_, _ = io.WriteString(w, "x")
				_ = http.NewResponseController(w).Flush()
			}
			<-read
		}, withIdleTimeout(5*time.Minute))
		s.request(postFrame())
		s.expectEnd(t, deadlineExceeded, 45*time.Minute)
	})
}

// A handler that works is not idle, however long it takes.
func TestIdleTimeoutIsForTheClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t, newMemoryStream(10), func(_ http.ResponseWriter, r *http.Request) {
			_, _ = r.Body.Read(make([]byte, 1))
			after(time.Hour)
			if _, err := io.Copy(io.Discard, r.Body); err != nil {
				t.Error(err)
			}
		}, withIdleTimeout(5*time.Minute))
		s.request(postFrame(), dataFrame("ab"), dataFrame("c"), endFrame())
		s.halfClose()
		s.expectEnd(t, 0, time.Hour)
	})
}

func TestUpgradedExchangeIsNeverIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t, newMemoryStream(10), func(w http.ResponseWriter, _ *http.Request) {
			conn := switchProtocols(t, w)
			_, _ = io.Copy(io.Discard, conn)
			_ = conn.Close()
		}, withIdleTimeout(5*time.Minute))
		s.request(upgradeFrame())
		after(24 * time.Hour)
		s.request(endFrame())
		s.expectEnd(t, 0, 24*time.Hour)
	})
}

// After the response a client has 100 ms to half-close, or 256 KiB.
func TestDrainIsShort(t *testing.T) {
	answer := func(http.ResponseWriter, *http.Request) {}
	synctest.Test(t, func(t *testing.T) { // silent
		s := serve(t, newMemoryStream(10), answer)
		s.request(postFrame())
		s.expectEnd(t, 0, drainTime)
	})
	synctest.Test(t, func(t *testing.T) { // complete, but not half-closed
		s := serve(t, newMemoryStream(10), answer)
		s.request(wholeFrame())
		s.expectEnd(t, 0, drainTime)
	})
	synctest.Test(t, func(t *testing.T) { // half-closed
		s := serve(t, newMemoryStream(10), answer)
		s.request(wholeFrame())
		s.halfClose()
		s.expectEnd(t, 0, 0)
	})
	synctest.Test(t, func(t *testing.T) { // half-closed in time
		s := serve(t, newMemoryStream(10), answer)
		s.request(postFrame())
		after(drainTime / 2)
		s.request(endFrame())
		s.halfClose()
		s.expectEnd(t, 0, drainTime/2)
	})
	synctest.Test(t, func(t *testing.T) { // cut off in time
		s := serve(t, newMemoryStream(10), answer)
		s.request(postFrame())
		after(drainTime / 2)
		s.halfClose()
		s.expectEnd(t, malformedRequest, drainTime/2)
	})
	synctest.Test(t, func(t *testing.T) { // sends on
		s := serve(t, newMemoryStream(10), answer)
		s.request(postFrame())
		data := make([]byte, MaxData)
		s.request(dataFrame(string(data)), dataFrame("x"), dataFrame("y"))
		s.expectEnd(t, 0, 0)
	})
}

func TestReadDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t, newMemoryStream(10), func(w http.ResponseWriter, r *http.Request) {
			control := http.NewResponseController(w)
			for _, at := range []time.Duration{time.Hour, time.Minute, 0, time.Second} { // the last one counts
				deadline := time.Time{}
				if at > 0 {
					deadline = time.Now().Add(at)
				}
				if err := control.SetReadDeadline(deadline); err != nil {
					t.Error(err)
				}
			}
			for range 2 {
				if _, err := r.Body.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
					t.Errorf("read: %v", err)
				}
				// One that has passed stays so, as in net/http.
				if err := control.SetReadDeadline(time.Time{}); err != nil {
					t.Error(err)
				}
			}
			w.WriteHeader(http.StatusRequestTimeout)
			if _, err := io.WriteString(w, "late"); err != nil {
				t.Error(err)
			}
		})
		s.request(postFrame())
		s.expectEnd(t, 0, time.Second)
		if status, body, ended := s.body(); status != http.StatusRequestTimeout || body != "late" || !ended {
			t.Errorf("status %d, body %q, ended %t", status, body, ended)
		}
	})
}

func TestReadDeadlineThatIsTakenAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t, newMemoryStream(10), func(w http.ResponseWriter, r *http.Request) {
			control := http.NewResponseController(w)
			_ = control.SetReadDeadline(time.Now().Add(time.Second))
			_ = control.SetReadDeadline(time.Time{})
			if _, err := io.Copy(io.Discard, r.Body); err != nil {
				t.Error(err)
			}
		})
		s.request(postFrame())
		after(time.Minute)
		s.request(endFrame())
		s.halfClose()
		s.expectEnd(t, 0, time.Minute)
	})
}

func TestWriteDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t, newMemoryStream(0), func(w http.ResponseWriter, _ *http.Request) {
			control := http.NewResponseController(w)
			_ = control.SetWriteDeadline(time.Now().Add(time.Second))
			_, _ = io.WriteString(w, "x")
			if err := control.Flush(); err == nil {
				t.Error("nobody has taken what was flushed")
			}
			if _, err := w.Write(make([]byte, MaxData)); err == nil {
				t.Error("nobody has taken what was written")
			}
		})
		s.request(wholeFrame())
		if result, took := s.wait(); result.Err == nil || took != time.Second {
			t.Errorf("ended with %v after %s", result.Err, took)
		}
	})
}

// The deadline of the RPC wakes up a handler that waits for the client, in either
// direction, and is what the handler's context says.
func TestContextDeadline(t *testing.T) {
	for name, block := range map[string]http.HandlerFunc{
		"read":    func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) },
		"write":   func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, MaxData)) },
		"context": func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				s := serveContext(ctx, t, newMemoryStream(0), func(w http.ResponseWriter, r *http.Request) {
					block(w, r)
					if err := r.Context().Err(); !errors.Is(err, context.DeadlineExceeded) {
						t.Errorf("the context says %v", err)
					}
				})
				s.request(postFrame())
				if result, took := s.wait(); result.Err == nil || result.Err.Cause != deadlineExceeded || took < time.Second || took > time.Second+drainTime {
					t.Errorf("ended with %v after %s", result.Err, took)
				}
			})
		})
	}
}
