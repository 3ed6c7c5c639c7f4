package session_test

import (
	"context"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	culvertv1 "github.com/culvert-http/culvert/api/culvert/v1"
	"github.com/culvert-http/culvert/internal/session"
)

// Many goroutines open exchanges, send, and give up at any moment, each end from
// several sides at once: nothing waits for ever. For the race detector as well.
func TestChurn(t *testing.T) {
	client, _ := pair(t, func(x *session.Exchange) {
		defer x.Close(culvertv1.Cause_CAUSE_HANDLER_FAILED)
		if rand.N(4) == 0 {
			return
		}
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		x.OnReset(enderFunc(func(error) { cancel() }))
		defer context.AfterFunc(ctx, x.InterruptReceive)()
		echo(x)
	})
	chunk := data(t, make([]byte, 20_000), false)
	var all sync.WaitGroup
	for range 32 {
		all.Go(func() {
			for range 60 {
				churn(t, client, chunk)
			}
		})
	}
	all.Wait()
	client.Wait()
	if n, _, _ := client.Load(); n != 0 {
		t.Errorf("%d exchanges are left", n)
	}
	if err := client.Ping(t.Context()); err != nil {
		t.Errorf("the session does not answer any more: %v", err)
	}
}

// churn opens an exchange, and does with it what comes to mind.
func churn(t *testing.T, client *session.Session, chunk []byte) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	if rand.N(8) == 0 {
		time.AfterFunc(rand.N(time.Millisecond), cancel)
	}
	x, err := client.Open(ctx, head(t, false), nil, false)
	if err != nil {
		if ctx.Err() == nil {
			t.Errorf("open: %v", err)
		}
		return
	}
	var ends sync.WaitGroup
	ends.Go(func() {
		for range rand.N(40) {
			if x.Send(chunk, nil, false) != nil {
				return
			}
		}
		_ = x.Send([]byte{0x18, 0x01}, nil, true)
	})
	ends.Go(func() {
		for {
			if _, err := x.Receive(); err != nil {
				return
			}
		}
	})
	switch rand.N(6) {
	case 0:
		x.Close(culvertv1.Cause_CAUSE_CANCELED)
	case 1:
		x.Reset(culvertv1.Cause_CAUSE_CANCELED, false, "churn")
	case 2:
		x.Stop()
		x.InterruptSend()
	case 3:
		x.InterruptReceive()
		x.InterruptSend()
	}
	ends.Wait()
	x.Close(culvertv1.Cause_CAUSE_CANCELED)
}
