package bridge

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	culvertv1 "github.com/culvert-http/culvert/api/culvert/v1"
)

// A client that goes while the handler waits for it is a cancellation, to the
// handler and to the record.
func TestCancelWhileBlocked(t *testing.T) {
	for name, block := range map[string]func(http.ResponseWriter, *http.Request) error{
		"in Read": func(_ http.ResponseWriter, r *http.Request) error {
			_, err := io.Copy(io.Discard, r.Body)
			return err
		},
		"in Write": func(w http.ResponseWriter, _ *http.Request) error {
			_, err := w.Write(make([]byte, MaxData))
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := serve(t, newMemoryStream(0), func(w http.ResponseWriter, r *http.Request) {
					if err := block(w, r); err == nil {
						t.Error("no error")
					}
					if !errors.Is(r.Context().Err(), context.Canceled) {
						t.Errorf("the context says %v", r.Context().Err())
					}
				})
				s.request(postFrame())
				after(time.Minute)
				s.cancel()
				s.lose()
				s.expectEnd(t, canceled, time.Minute)
			})
		})
	}
}

// What a handler has started may not outlive it.
func TestReadAndWriteAfterTheHandlerHasReturned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var w http.ResponseWriter
		var r *http.Request
		read := make(chan error, 1)
		s := serve(t, newMemoryStream(10), func(rw http.ResponseWriter, request *http.Request) {
			w, r = rw, request
			go func() {
				_, err := r.Body.Read(make([]byte, 1))
				read <- err
			}()
			synctest.Wait() // the goroutine reads
			_, _ = io.WriteString(w, "x")
		})
		s.request(postFrame())
		s.expectEnd(t, 0, 0)
		if err := <-read; err == nil {
			t.Error("a read that was forgotten had no error")
		}
		if _, err := r.Body.Read(make([]byte, 1)); !errors.Is(err, http.ErrBodyReadAfterClose) {
			t.Errorf("a read after the end: %v", err)
		}
		if _, err := w.Write(make([]byte, MaxData)); err == nil {
			t.Error("a write after the end had no error")
		}
		if err := http.NewResponseController(w).Flush(); err == nil {
			t.Error("a flush after the end had no error")
		}
		w.WriteHeader(http.StatusEarlyHints)
		if _, body, ended := s.body(); body != "x" || !ended {
			t.Errorf("the response is %q, ended %t", body, ended)
		}
	})
}

func TestInterruptedReceiveIsNoHalfClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got error
		s := serve(t, newMemoryStream(10), func(_ http.ResponseWriter, r *http.Request) {
			_, got = io.Copy(io.Discard, r.Body)
		})
		s.request(postFrame(), dataFrame("x"))
		synctest.Wait()
		s.InterruptReceive()
		s.InterruptReceive()
		s.expectEnd(t, canceled, 0)
		if got == nil {
			t.Error("the handler saw a complete body")
		}
		if _, _, ended := s.body(); ended {
			t.Error("the response was ended")
		}
	})
}

// switchProtocols upgrades as coder/websocket does.
func switchProtocols(t *testing.T, w http.ResponseWriter) net.Conn {
	t.Helper()
	w.Header().Set("Upgrade", "websocket")
	w.Header().Set("Connection", "Upgrade")
	w.WriteHeader(http.StatusSwitchingProtocols)
	return hijack(t, w)
}

func hijack(t *testing.T, w http.ResponseWriter) net.Conn {
	t.Helper()
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		t.Error(err)
		panic(http.ErrAbortHandler)
	}
	return conn
}

// eachHijack runs a test in a bubble, with each way in which a hijacked connection
// receives: by a goroutine of its own, and by the one that reads.
func eachHijack(t *testing.T, test func(t *testing.T, stream *memoryStream)) {
	t.Helper()
	for name, pausing := range map[string]bool{"own goroutine": false, "reader": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				stream := newMemoryStream(10)
				if pausing {
					stream.paused = make(chan struct{}, 1)
				}
				test(t, stream)
			})
		})
	}
}

// Both ends of a wait are the handler's: a deadline that is set while it lasts, and
// Close. What comes after the deadline was taken away is read.
func TestHijackedReadIsCalledAway(t *testing.T) {
	eachHijack(t, func(t *testing.T, stream *memoryStream) {
		s := serve(t, stream, func(w http.ResponseWriter, _ *http.Request) {
			conn := switchProtocols(t, w)
			read := make(chan error, 1)
			wait := func() {
				go func() {
					_, err := conn.Read(make([]byte, 10))
					read <- err
				}()
				synctest.Wait()
			}
			wait()
			_ = conn.SetReadDeadline(time.Unix(1, 0))
			if err := <-read; !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("read until a deadline: %v", err)
			}
			_ = conn.SetReadDeadline(time.Time{})
			wait()
			stream.request(dataFrame("x"))
			if err := <-read; err != nil {
				t.Errorf("read without a deadline: %v", err)
			}
			wait()
			_ = conn.Close()
			if err := <-read; !errors.Is(err, net.ErrClosed) {
				t.Errorf("read until Close: %v", err)
			}
		})
		s.request(upgradeFrame())
		s.expectEnd(t, 0, 0)
	})
}

// What comes with the end is read before the end is.
func TestHijackedReadHasWhatComesWithTheEnd(t *testing.T) {
	eachHijack(t, func(t *testing.T, stream *memoryStream) {
		s := serve(t, stream, func(w http.ResponseWriter, _ *http.Request) {
			conn := switchProtocols(t, w)
			defer conn.Close()
			got, err := io.ReadAll(iotest.OneByteReader(conn))
			if string(got) != "last" || err != nil {
				t.Errorf("read %q: %v", got, err)
			}
		})
		last := dataFrame("last")
		last.End = true
		s.request(upgradeFrame(), last)
		s.expectEnd(t, 0, 0)
	})
}

// This one is not in a bubble: Close waits for a mutex, which holds a bubble's
// time up.
func TestHijackedCloseEndsABlockedWrite(t *testing.T) {
	writing := make(chan struct{})
	s := serve(t, newMemoryStream(1), func(w http.ResponseWriter, _ *http.Request) {
		conn := switchProtocols(t, w) // the head takes the one place
		written := make(chan error, 1)
		go func() {
			close(writing)
			_, err := conn.Write([]byte("x"))
			written <- err
		}()
		<-writing
		_ = conn.Close()
		if err := <-written; err == nil {
			t.Error("nobody took what was written")
		}
		if _, err := conn.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
			t.Errorf("write after close: %v", err)
		}
		if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
			t.Errorf("read after close: %v", err)
		}
	})
	s.request(upgradeFrame())
	s.wait()
}

// The connection is the handler's also after it has returned.
func TestHijackedConnOutlivesTheHandler(t *testing.T) {
	eachHijack(t, func(t *testing.T, stream *memoryStream) {
		s := serve(t, stream, func(w http.ResponseWriter, _ *http.Request) {
			conn := switchProtocols(t, w)
			go func() {
				after(time.Hour)
				_, _ = io.Copy(conn, strings.NewReader("late"))
				_ = conn.Close()
			}()
		})
		s.request(upgradeFrame())
		s.expectEnd(t, 0, time.Hour)
		if status, body, ended := s.body(); status != http.StatusSwitchingProtocols || body != "late" || !ended {
			t.Errorf("status %d, body %q, ended %t", status, body, ended)
		}
	})
}

// One that nobody closes ends with its client.
func TestHijackedConnEndsWithTheClient(t *testing.T) {
	eachHijack(t, func(t *testing.T, stream *memoryStream) {
		var conn net.Conn
		s := serve(t, stream, func(w http.ResponseWriter, _ *http.Request) { conn = switchProtocols(t, w) })
		s.request(upgradeFrame())
		after(time.Minute)
		s.cancel()
		s.lose()
		s.expectEnd(t, canceled, time.Minute)
		if _, err := conn.Read(make([]byte, 1)); err == nil {
			t.Error("read after the end had no error")
		}
		if _, err := conn.Write([]byte("x")); err == nil {
			t.Error("write after the end had no error")
		}
	})
}

func TestHijackedReadDeadlineCanBeMoved(t *testing.T) {
	eachHijack(t, func(t *testing.T, stream *memoryStream) {
		s := serve(t, stream, func(w http.ResponseWriter, _ *http.Request) {
			conn := switchProtocols(t, w)
			defer conn.Close()
			for range 3 {
				_ = conn.SetReadDeadline(time.Now().Add(time.Second))
				if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
					t.Errorf("read: %v", err)
				}
			}
			_ = conn.SetReadDeadline(time.Time{})
			if got, err := io.ReadAll(conn); string(got) != "late" || err != nil {
				t.Errorf("read %q: %v", got, err)
			}
		})
		s.request(upgradeFrame())
		after(time.Minute)
		s.request(dataFrame("la"), dataFrame("te"), endFrame())
		s.expectEnd(t, 0, time.Minute)
	})
}

// A truncated upgrade is not the end of the protocol inside.
func TestHijackedReadSeesTheTruncation(t *testing.T) {
	eachHijack(t, func(t *testing.T, stream *memoryStream) {
		var got error
		s := serve(t, stream, func(w http.ResponseWriter, _ *http.Request) {
			conn := switchProtocols(t, w)
			defer conn.Close()
			_, got = io.Copy(io.Discard, conn)
		})
		s.request(upgradeFrame(), dataFrame("abc"))
		s.halfClose()
		s.expectEnd(t, malformedRequest, 0)
		if !errors.Is(got, io.ErrUnexpectedEOF) {
			t.Errorf("read: %v", got)
		}
	})
}

// A handler closes its connection when it cannot read on. That is no end where it
// is the exchange that was cut: the client has not had all.
func TestHijackedCloseAfterACutIsNoEnd(t *testing.T) {
	for name, row := range map[string]struct {
		cut   func(s *served)
		cause culvertv1.Cause
	}{
		"truncated":   {func(s *served) { s.halfClose() }, malformedRequest},
		"out of time": {func(*served) { after(time.Hour) }, culvertv1.Cause_CAUSE_DEADLINE_EXCEEDED},
	} {
		for first, head := range map[string]string{
			"upgraded":    "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
			"not to HTTP": "HTTP/1.1 200 OK\r\n\r\n",
		} {
			t.Run(name+"/"+first, func(t *testing.T) {
				eachHijack(t, func(t *testing.T, stream *memoryStream) {
					ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
					defer cancel()
					s := serveContext(ctx, t, stream, func(w http.ResponseWriter, _ *http.Request) {
						conn := hijack(t, w)
						_, _ = io.WriteString(conn, head+"abc")
						_, _ = io.Copy(io.Discard, conn)
						_ = conn.Close()
					})
					s.request(upgradeFrame())
					synctest.Wait()
					row.cut(s)
					if result, _ := s.wait(); result.Err == nil || result.Err.Cause != row.cause {
						t.Errorf("the exchange ended with %v, want %v", result.Err, row.cause)
					}
					if _, body, ended := s.body(); body != "abc" || ended {
						t.Errorf("body %q, ended %t", body, ended)
					}
				})
			})
		}
	}
}

func TestHijackedCloseWithoutAResponse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t, newMemoryStream(10), func(w http.ResponseWriter, _ *http.Request) { _ = hijack(t, w).Close() })
		s.request(upgradeFrame())
		s.expectEnd(t, culvertv1.Cause_CAUSE_HANDLER_FAILED, 0)
	})
}

// What a handler writes on its connection is HTTP/1.1 until it has upgraded.
func TestHijackedResponse(t *testing.T) {
	for name, row := range map[string]struct {
		raw, body string
		cause     culvertv1.Cause
	}{
		"content-length":     {"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno", "no", 0},
		"chunked":            {"HTTP/1.1 403 Forbidden\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nn\r\n1\r\no\r\n0\r\n\r\n", "no", 0},
		"until close":        {"HTTP/1.1 403 Forbidden\r\n\r\nno", "no", 0},
		"early hints before": {"HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\nHTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", "", 0},
		"too short":          {"HTTP/1.1 403 Forbidden\r\nContent-Length: 3\r\n\r\nno", "no", culvertv1.Cause_CAUSE_RESPONSE_TRUNCATED},
		"chunks cut off":     {"HTTP/1.1 403 Forbidden\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nno\r\n", "no", culvertv1.Cause_CAUSE_RESPONSE_TRUNCATED},
		"head cut off":       {"HTTP/1.1 403 Forbidden\r\nA: b\r\n", "", culvertv1.Cause_CAUSE_HANDLER_FAILED},
		"no HTTP":            {"SSH-2.0-x\r\n\r\n", "", culvertv1.Cause_CAUSE_HANDLER_FAILED},
		"two lengths":        {"HTTP/1.1 403 Forbidden\r\nContent-Length: 3\r\nContent-Length: 2\r\n\r\nno", "", culvertv1.Cause_CAUSE_HANDLER_FAILED},
	} {
		for _, size := range []int{1, 7, 1 << 10} {
			t.Run(name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s := serve(t, newMemoryStream(100), func(w http.ResponseWriter, _ *http.Request) {
						conn := hijack(t, w)
						defer conn.Close()
						for rest := row.raw; rest != ""; rest = rest[min(size, len(rest)):] {
							if _, err := io.WriteString(conn, rest[:min(size, len(rest))]); err != nil {
								return
							}
						}
					})
					s.request(upgradeFrame())
					s.expectEnd(t, row.cause, 0)
					if _, body, ended := s.body(); body != row.body || ended != (row.cause == 0) {
						t.Errorf("the body is %q, ended %t", body, ended)
					}
				})
			})
		}
	}
}

// A response that a handler has begun to write on its connection, and does not
// write to its end, leaves nothing behind when the client goes.
func TestHijackedResponseEndsWithTheClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t, newMemoryStream(10), func(w http.ResponseWriter, _ *http.Request) {
			conn := hijack(t, w)
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab")
			synctest.Wait()
		})
		s.request(upgradeFrame())
		after(time.Minute)
		s.cancel()
		s.lose()
		s.expectEnd(t, canceled, time.Minute)
	})
}
