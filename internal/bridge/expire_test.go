package bridge

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	culvertv1 "github.com/culvert-http/culvert/api/culvert/v1"
)

// TestEndOfExchangeInterruptsNothing checks that an exchange that has a deadline
// and ends before it leaves the stream alone. In HTTP/1.1 an interrupt reaches
// the connection, and what comes next on it is cancelled.
func TestEndOfExchangeInterruptsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		stream := &slowToClose{interrupted: make(chan struct{}, 10)}
		server := &Server{
			Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}),
			Limits:  Limits{HeadBytes: 1 << 10, Fields: 10},
			Logger:  slog.New(slog.DiscardHandler),
		}
		result := server.Serve(ctx, stream, &Origin{Authority: "a.test"})
		synctest.Wait()
		if result.Err != nil || result.Status != http.StatusOK {
			t.Fatalf("status %d, %v", result.Status, result.Err)
		}
		if n := len(stream.interrupted); n > 0 {
			t.Fatalf("%d interrupts", n)
		}
	})
}

// slowToClose is the stream of a client that half-closes a moment after its
// request's end.
type slowToClose struct {
	received    bool
	interrupted chan struct{}
}

func (s *slowToClose) Receive(frame *culvertv1.RequestFrame) error {
	if s.received {
		<-time.After(drainTime / 2)
		return io.EOF
	}
	s.received = true
	frame.Head, frame.End = &culvertv1.RequestHead{}, true
	return nil
}

func (s *slowToClose) Send(*culvertv1.ResponseFrame) error { return nil }
func (s *slowToClose) InterruptReceive()                   { s.interrupted <- struct{}{} }
func (s *slowToClose) InterruptSend()                      { s.interrupted <- struct{}{} }
