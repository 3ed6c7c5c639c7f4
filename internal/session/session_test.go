package session_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io"
	"sync"
	"testing"

	"go.uber.org/goleak"
	"google.golang.org/protobuf/proto"

	culvertv1 "github.com/culvert-http/culvert/api/culvert/v1"
	"github.com/culvert-http/culvert/internal/session"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// pair joins a client and a server; accept runs in a goroutine of its own for
// each exchange.
func pair(t testing.TB, accept func(*session.Exchange)) (client, server *session.Session) {
	t.Helper()
	var running sync.WaitGroup
	server = session.New(session.Config{Server: true, MaxExchanges: 1000, MaxHeadBytes: 64 << 10, Accept: func(x *session.Exchange) {
		running.Go(func() { accept(x) })
	}})
	client = session.New(session.Config{})
	var pumps sync.WaitGroup
	pump := func(from, to *session.Session) {
		for {
			batch, err := from.NextBatch()
			if err != nil {
				to.DeliverEnd(err)
				return
			}
			if err := to.Deliver(batch); err != nil {
				from.Fail(err)
				return
			}
		}
	}
	pumps.Go(func() { pump(client, server) })
	pumps.Go(func() { pump(server, client) })
	t.Cleanup(func() {
		client.Close()
		running.Wait()
		pumps.Wait()
	})
	return client, server
}

func head(t testing.TB, end bool) []byte {
	t.Helper()
	part, err := proto.Marshal(&culvertv1.RequestFrame{Head: &culvertv1.RequestHead{Path: "/x"}, End: end})
	if err != nil {
		t.Fatal(err)
	}
	return part
}

func data(t testing.TB, data []byte, end bool) []byte {
	t.Helper()
	part, err := proto.Marshal(&culvertv1.RequestFrame{Data: data, End: end})
	if err != nil {
		t.Fatal(err)
	}
	return part
}

// echo sends back what it gets, part by part.
func echo(x *session.Exchange) {
	defer x.Close(culvertv1.Cause_CAUSE_CANCELED)
	for {
		part, err := x.Receive()
		if err != nil {
			return
		}
		var frame culvertv1.RequestFrame
		if proto.Unmarshal(part, &frame) != nil {
			return
		}
		if x.Send(part, nil, frame.GetEnd()) != nil {
			return
		}
	}
}

func TestSmallExchange(t *testing.T) {
	client, _ := pair(t, echo)
	for range 1000 {
		want := head(t, true)
		x, err := client.Open(t.Context(), want, nil, true)
		if err != nil {
			t.Fatal(err)
		}
		got, err := x.Receive()
		if err != nil || !bytes.Equal(got, want) {
			t.Fatalf("got %x, %v", got, err)
		}
		if _, err := x.Receive(); !errors.Is(err, io.EOF) {
			t.Fatalf("after the end: %v", err)
		}
		x.Close(culvertv1.Cause_CAUSE_CANCELED)
	}
}

func TestLargeBodiesSideBySide(t *testing.T) {
	client, _ := pair(t, echo)
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			body := make([]byte, 3<<20)
			_, _ = rand.Read(body)
			x, err := client.Open(t.Context(), head(t, false), nil, false)
			if err != nil {
				t.Error(err)
				return
			}
			defer x.Close(culvertv1.Cause_CAUSE_CANCELED)
			all.Go(func() {
				for rest := body; len(rest) > 0; {
					n := min(len(rest), 50_000)
					if err := x.Send(data(t, rest[:n], n == len(rest)), nil, n == len(rest)); err != nil {
						t.Error(err)
						return
					}
					rest = rest[n:]
				}
			})
			var got []byte
			for {
				part, err := x.Receive()
				if errors.Is(err, io.EOF) {
					break
				}
				if err != nil {
					t.Error(err)
					return
				}
				var frame culvertv1.RequestFrame
				if err := proto.Unmarshal(part, &frame); err != nil {
					t.Error(err)
				}
				got = append(got, frame.GetData()...)
			}
			if !bytes.Equal(got, body) {
				t.Errorf("got %d bytes of %d, or others", len(got), len(body))
			}
		})
	}
	all.Wait()
}
