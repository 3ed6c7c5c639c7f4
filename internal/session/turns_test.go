package session_test

import (
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"testing"
	"testing/synctest"

	culvertv1 "github.com/culvert-http/culvert/api/culvert/v1"
	"github.com/culvert-http/culvert/internal/session"
)

// Section 20.6: parts are sent in turn. However many exchanges send all they can,
// one that has a single part to send has it in the batch after the next.
func TestBulkDoesNotHoldUpSmallOnes(t *testing.T) {
	for _, bulk := range []int{1, 3} {
		t.Run(fmt.Sprint(bulk), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const small = 50
				p := facing(t, session.Config{})
				greeting := hello()
				greeting.Hello.Window = 1 << 30
				p.mustSay(greeting, &culvertv1.ServerFrame{Credit: 1 << 30})
				p.open(bulk + small)
				p.hears()
				chunk := session.AppendDataTag(nil, 64<<10)
				chunk = append(chunk, make([]byte, 64<<10)...)
				for _, x := range p.opened[:bulk] {
					go func() {
						for x.Send(chunk, nil, false) == nil {
						}
					}()
				}
				for range 5 {
					synctest.Wait()
					p.hears()
				}
				synctest.Wait() // the next batch is full by now
				for _, x := range p.opened[bulk:] {
					go func() {
						if err := x.Send([]byte{0x18, 0x01}, nil, true); err != nil {
							t.Errorf("send: %v", err)
						}
					}()
				}
				synctest.Wait()
				p.hears()
				synctest.Wait()
				ends := 0
				for _, frame := range p.hears() {
					if frame.GetPart().GetEnd() {
						ends++
					}
				}
				if ends != small {
					t.Errorf("%d of %d small parts were in the batch after the next", ends, small)
				}
				for _, x := range p.opened {
					x.InterruptSend()
				}
				synctest.Wait()
			})
		})
	}
}

// carryAll moves messages both ways until none is left.
func carryAll(tb testing.TB, client, server *session.Session) {
	tb.Helper()
	for moved := true; moved; {
		moved = false
		for _, way := range [][2]*session.Session{{client, server}, {server, client}} {
			synctest.Wait()
			batch, err := way[0].TryBatch()
			if err != nil {
				tb.Fatal(err)
			}
			if len(batch) > 0 {
				moved = true
				if err := way[1].Deliver(batch); err != nil {
					tb.Fatal(err)
				}
			}
		}
	}
}

// One exchange that nobody reads, of a hundred: the others go on.
func TestStalledExchangeHoldsUpNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const exchanges, parts = 100, 20
		chunk := session.AppendDataTag(nil, 50<<10)
		chunk = append(chunk, make([]byte, 50<<10)...)
		var read atomic.Int64
		server := session.New(session.Config{Server: true, MaxExchanges: exchanges, Accept: func(x *session.Exchange) {
			if x.ID() == 1 {
				return // the one that nobody reads
			}
			go func() {
				for {
					_, err := x.Receive()
					if errors.Is(err, io.EOF) {
						read.Add(1)
					}
					if err != nil {
						return
					}
				}
			}()
		}})
		client := session.New(session.Config{})
		var all []*session.Exchange
		var stalled, sent atomic.Int64
		for range exchanges {
			x, err := client.Open(t.Context(), openingPart(t), nil, false)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, x)
		}
		for _, x := range all {
			go func() {
				for n := range parts {
					if err := x.Send(chunk, []byte{0x18, 0x01}[:2*((n+1)/parts)], n == parts-1); err != nil {
						stalled.Add(1)
						return
					}
				}
				sent.Add(1)
			}()
		}
		carryAll(t, client, server)
		if sent.Load() != exchanges-1 || read.Load() != exchanges-1 {
			t.Errorf("%d of %d exchanges were sent, %d were read", sent.Load(), exchanges, read.Load())
		}
		for _, x := range all {
			x.Close(culvertv1.Cause_CAUSE_CANCELED)
		}
		synctest.Wait()
		if stalled.Load() != 1 {
			t.Errorf("%d exchanges stalled, want 1", stalled.Load())
		}
		server.Fail(session.ErrClosed)
	})
}
