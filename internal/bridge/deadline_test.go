package bridge

import (
	"errors"
	"io"
	"net/http"
	"os"
	"testing"
	"testing/synctest"
	"time"

	culvertv1 "github.com/culvert-http/culvert/api/culvert/v1"
)

// A deadline that passes while nothing is written does no harm to what is written
// under another one, as with a connection of net/http's.
func TestWriteDeadlineIsForWrites(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t, newMemoryStream(10), func(w http.ResponseWriter, _ *http.Request) {
			control := http.NewResponseController(w)
			for range 3 {
				_ = control.SetWriteDeadline(time.Now().Add(time.Second))
				_, _ = io.WriteString(w, "x")
				if err := control.Flush(); err != nil {
					t.Errorf("flush: %v", err)
				}
				after(time.Minute)
			}
			_ = control.SetWriteDeadline(time.Time{})
		})
		s.request(wholeFrame())
		s.halfClose()
		s.expectEnd(t, 0, 3*time.Minute)
		if _, body, ended := s.body(); body != "xxx" || !ended {
			t.Errorf("body %q, ended %t", body, ended)
		}
	})
}

// A write that comes too late fails, and so do all after it: a response with a hole
// is none.
func TestWriteDeadlineThatHasPassed(t *testing.T) {
	for name, row := range map[string]struct {
		first string
		cause culvertv1.Cause
	}{
		"before the head": {"", culvertv1.Cause_CAUSE_HANDLER_FAILED},
		"after it":        {"one", culvertv1.Cause_CAUSE_RESPONSE_TRUNCATED},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := serve(t, newMemoryStream(10), func(w http.ResponseWriter, _ *http.Request) {
					control := http.NewResponseController(w)
					if row.first != "" {
						_, _ = io.WriteString(w, row.first)
						_ = control.Flush()
					}
					_ = control.SetWriteDeadline(time.Now())
					_, _ = io.WriteString(w, "two")
					if err := control.Flush(); !errors.Is(err, os.ErrDeadlineExceeded) {
						t.Errorf("flush: %v", err)
					}
					_ = control.SetWriteDeadline(time.Now().Add(time.Hour))
					if err := control.Flush(); !errors.Is(err, os.ErrDeadlineExceeded) {
						t.Errorf("flush under another deadline: %v", err)
					}
				})
				s.request(wholeFrame())
				s.expectEnd(t, row.cause, 0)
				if _, body, ended := s.body(); body != row.first || ended {
					t.Errorf("body %q, ended %t", body, ended)
				}
			})
		})
	}
}

// What is left when the handler returns is written under its deadline too.
func TestWriteDeadlineOfTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t, newMemoryStream(10), func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "x")
			_ = http.NewResponseController(w).SetWriteDeadline(time.Now())
		})
		s.request(wholeFrame())
		s.expectEnd(t, culvertv1.Cause_CAUSE_HANDLER_FAILED, 0)
	})
}

// A blocked write is woken up with the error that net/http has for it.
func TestWriteDeadlineOfABlockedWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t, newMemoryStream(0), func(w http.ResponseWriter, _ *http.Request) {
			_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(time.Second))
			if _, err := w.Write(make([]byte, MaxData)); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("write: %v", err)
			}
		})
		s.request(wholeFrame())
		s.expectEnd(t, culvertv1.Cause_CAUSE_HANDLER_FAILED, time.Second)
	})
}

// WebSocket libraries set a deadline for each write and leave it there: neither the
// writes after it nor the close mind that it has passed.
func TestHijackedWriteDeadlineCanBeMoved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t, newMemoryStream(10), func(w http.ResponseWriter, _ *http.Request) {
			conn := switchProtocols(t, w)
			for range 3 {
				_ = conn.SetWriteDeadline(time.Now().Add(time.Second))
				if _, err := io.WriteString(conn, "x"); err != nil {
					t.Errorf("write: %v", err)
				}
				after(time.Minute)
				if _, err := io.WriteString(conn, "y"); !errors.Is(err, os.ErrDeadlineExceeded) {
					t.Errorf("write after the deadline: %v", err)
				}
			}
			if err := conn.Close(); err != nil {
				t.Errorf("close: %v", err)
			}
		})
		s.request(upgradeFrame())
		s.expectEnd(t, 0, 3*time.Minute)
		if _, body, ended := s.body(); body != "xxx" || !ended {
			t.Errorf("body %q, ended %t", body, ended)
		}
	})
}

// A deadline in the past counts at once.
func TestHijackedReadDeadlineInThePast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t, newMemoryStream(10), func(w http.ResponseWriter, _ *http.Request) {
			conn := switchProtocols(t, w)
			defer conn.Close()
			synctest.Wait() // the data is there
			_ = conn.SetReadDeadline(time.Now())
			if n, err := conn.Read(make([]byte, 1)); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("read %d: %v", n, err)
			}
			_ = conn.SetReadDeadline(time.Time{})
			if got, err := io.ReadAll(conn); string(got) != "abc" || err != nil {
				t.Errorf("read %q: %v", got, err)
			}
		})
		s.request(upgradeFrame(), dataFrame("abc"), endFrame())
		s.expectEnd(t, 0, 0)
	})
}
