package session_test

import (
	"bytes"
	"io"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	culvertv1 "github.com/culvert-http/culvert/api/culvert/v1"
	"github.com/culvert-http/culvert/internal/session"
)

// far are two ends of a session with a delay between them.
type far struct {
	client, server *session.Session
	accepted       chan *session.Exchange
}

// apart returns two ends, each message between which takes so long.
func apart(t *testing.T, delay time.Duration) *far {
	t.Helper()
	f := &far{accepted: make(chan *session.Exchange, 100)}
	f.client = session.New(session.Config{})
	f.server = session.New(session.Config{
		Server: true, MaxExchanges: 100,
		Accept: func(x *session.Exchange) { f.accepted <- x },
	})
	var carriers sync.WaitGroup
	carryLate(&carriers, f.client, f.server, delay)
	carryLate(&carriers, f.server, f.client, delay)
	t.Cleanup(func() {
		f.client.Fail(session.ErrClosed)
		f.server.Fail(session.ErrClosed)
		carriers.Wait()
	})
	return f
}

type lateMessage struct {
	data []byte
	due  time.Time
}

func carryLate(carriers *sync.WaitGroup, from, to *session.Session, delay time.Duration) {
	way := make(chan lateMessage, 1<<10)
	carriers.Go(func() {
		defer close(way)
		for {
			batch, err := from.NextBatch()
			if err != nil {
				return
			}
			way <- lateMessage{bytes.Clone(batch), time.Now().Add(delay)}
		}
	})
	carriers.Go(func() {
		for message := range way {
			<-time.After(time.Until(message.due))
			_ = to.Deliver(message.data) // the test looks at what comes of it
		}
	})
}

// open opens an exchange, and returns both of its ends.
func (f *far) open(t *testing.T) (client, server *session.Exchange) {
	t.Helper()
	client, err := f.client.Open(t.Context(), openingPart(t), nil, false)
	if err != nil {
		t.Fatal(err)
	}
	server = <-f.accepted
	received(t, server, 1)
	return client, server
}

// pour sends so many bytes, in parts of 64 KiB with a pause after each, and the
// end.
func pour(t *testing.T, x *session.Exchange, size int, pause time.Duration) {
	t.Helper()
	chunk := session.AppendDataTag(nil, 64<<10)
	chunk = append(chunk, make([]byte, 64<<10)...)
	for range size / (64 << 10) {
		if err := x.Send(chunk, nil, false); err != nil {
			t.Errorf("send: %v", err)
			return
		}
		<-time.After(pause)
	}
	if err := x.Send([]byte{0x18, 0x01}, nil, true); err != nil {
		t.Errorf("send end: %v", err)
	}
}

// drain receives until the end, with a short pause after each part and a long one
// after as much as a window has.
func drain(t *testing.T, x *session.Exchange, pause time.Duration) {
	t.Helper()
	for n := 1; ; n++ {
		if _, err := x.Receive(); err == io.EOF {
			return
		} else if err != nil {
			t.Errorf("receive: %v", err)
			return
		}
		if n%4 == 0 {
			<-time.After(pause)
		}
		<-time.After(min(pause, time.Millisecond))
	}
}

const (
	roundTrip = 100 * time.Millisecond
	longBody  = 64 << 20
)

// A window of 256 KiB would make a body of 64 MiB take 256 round trips. It grows,
// both ways, to MaxWindow, with which it is 16 and what it took to get there.
func TestWindowGrowsWithTheRoundTrip(t *testing.T) {
	const most = 50
	for name, reverse := range map[string]bool{"upload": false, "download": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := apart(t, roundTrip/2)
				from, to := f.open(t)
				at := f.server
				if reverse {
					from, to, at = to, from, f.client
				}
				began := time.Now()
				go pour(t, from, longBody, 0)
				drain(t, to, 0)
				took := float64(time.Since(began)) / float64(roundTrip)
				t.Logf("%.1f round trips", took)
				if took > most {
					t.Errorf("%.1f round trips, want %d at most", took, most)
				}
				_, each := at.Ledgers()
				if got := each[to.ID()].Window; got != session.MaxWindow {
					t.Errorf("the window has grown to %d", got)
				}
				from.Close(culvertv1.Cause_CAUSE_CANCELED)
				to.Close(culvertv1.Cause_CAUSE_CANCELED)
			})
		})
	}
}

// The window of a reader who does not keep up, or of a sender who has no more to
// send, stays as it is.
func TestWindowStaysWhereItIsNotWhatLimits(t *testing.T) {
	for name, pauses := range map[string]struct{ sender, reader time.Duration }{
		"slow reader": {reader: 10 * roundTrip},
		"slow sender": {sender: roundTrip},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := apart(t, roundTrip/2)
				from, to := f.open(t)
				go pour(t, from, 100*64<<10, pauses.sender)
				drain(t, to, pauses.reader)
				_, each := f.server.Ledgers()
				if got := each[to.ID()].Window; got != session.MinWindow {
					t.Errorf("the window has grown to %d", got)
				}
				from.Close(culvertv1.Cause_CAUSE_CANCELED)
				to.Close(culvertv1.Cause_CAUSE_CANCELED)
			})
		})
	}
}

// What windows grow by is a quarter of what a session may keep, and comes back
// with the exchanges.
func TestWindowsGrowWithinTheSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := apart(t, roundTrip/2)
		const exchanges = 5
		for range 2 {
			var to []*session.Exchange
			done := make(chan struct{})
			for range exchanges {
				client, server := f.open(t)
				to = append(to, server)
				go pour(t, client, longBody/2, 0)
				go func() {
					drain(t, server, 0)
					done <- struct{}{}
				}()
			}
			for range exchanges {
				<-done
			}
			synctest.Wait()
			_, each := f.server.Ledgers()
			grown := int64(0)
			for _, one := range each {
				grown += one.Window - session.MinWindow
			}
			if want := int64(session.DefaultMaxBytes / 4); grown != want {
				t.Errorf("windows have grown by %d bytes, want %d", grown, want)
			}
			for _, x := range to {
				x.Close(culvertv1.Cause_CAUSE_CANCELED)
			}
			synctest.Wait()
		}
	})
}
