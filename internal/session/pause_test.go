package session_test

import (
	"errors"
	"testing"
	"testing/synctest"

	culvertv1 "github.com/culvert-http/culvert/api/culvert/v1"
	"github.com/culvert-http/culvert/internal/session"
)

// A pause ends one wait, that of now or the next one, and takes nothing away.
func TestPauseReceive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := facingServer(t)
		p.mustSay(opening(t, 1))
		x := p.accepted[0]
		received := make(chan error, 1)
		receive := func() {
			go func() {
				_, err := x.Receive()
				received <- err
			}()
			synctest.Wait()
		}
		x.PauseReceive()
		receive()
		if err := <-received; err != nil {
			t.Fatalf("receive what was there: %v", err)
		}
		receive()
		if err := <-received; !errors.Is(err, session.ErrPaused) {
			t.Fatalf("wait after a pause: %v", err)
		}
		receive()
		x.PauseReceive()
		if err := <-received; !errors.Is(err, session.ErrPaused) {
			t.Fatalf("wait during a pause: %v", err)
		}
		receive()
		p.mustSay(part(t, 1, &culvertv1.ResponseFrame{Data: []byte("x")}))
		if err := <-received; err != nil {
			t.Fatalf("receive after the pauses: %v", err)
		}
		x.Close(culvertv1.Cause_CAUSE_CANCELED)
	})
}
