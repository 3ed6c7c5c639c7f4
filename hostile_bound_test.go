package culvert_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"connectrpc.com/connect"

	"github.com/culvert-http/culvert"
	culvertv1 "github.com/culvert-http/culvert/api/culvert/v1"
)

// short is an option value for bounds on time. Tests wait for it to pass, and
// never measure it.
const short = 20 * time.Millisecond

// A client that does not send its head, or its one message, is not waited for.
func TestSlowHeadIsRefused(t *testing.T) {
	seen := newWitness(nil)
	tunnel := seen.serve(t, culvert.WithHeadTimeout(short))
	for _, method := range []string{"Exchange", "Upload", "Download", "Call"} {
		for _, w := range rpcWires {
			if !w.carries(method) {
				continue
			}
			// A Call whose message is on its way is given time, if it does not stand still.
			for name, first := range map[string]string{"nothing": "", "a part of the prefix": "\x00\x00", "a part of the message": "\x00\x00\x00\x01\x00\n"} {
				t.Run(name+"/"+method+"/"+w.String(), func(t *testing.T) {
					client := newStall(first)
					defer client.Close()
					seen.expectRefusal(t, tunnel.call(t, w, method, client), deadlineExceeded, "")
					if runs, _ := seen.forget(); runs > 0 {
						t.Error("the handler ran")
					}
				})
			}
		}
	}
}

// A handler that waits for a body is not held by a client that sends no more of
// it, nor by one that sends messages with nothing in them.
func TestIdleBodyIsRefused(t *testing.T) {
	seen := newWitness(nil)
	tunnel := seen.serve(t, culvert.WithIdleTimeout(short))
	for _, method := range []string{"Exchange", "Upload"} {
		for _, w := range rpcWires {
			if !w.carries(method) {
				continue
			}
			head := w.body(t, method, headFrame("/"), dataFrame("abc"))
			for name, client := range map[string]*stall{
				"silent":         newStall(string(head)),
				"empty messages": newFlood(string(head), w.body(t, method, &culvertv1.RequestFrame{})),
			} {
				t.Run(name+"/"+method+"/"+w.String(), func(t *testing.T) {
					defer client.Close()
					seen.expectRefusal(t, tunnel.call(t, w, method, client), deadlineExceeded, "nothing moved")
					runs, err := seen.forget()
					var tunnelErr *culvert.Error
					if runs != 1 || !errors.As(err, &tunnelErr) || !errors.Is(err, context.DeadlineExceeded) {
						t.Errorf("the handler ran %d times and saw %v", runs, err)
					}
				})
			}
		}
	}
}

// Empty messages are ignored, and do not take the place of a head.
func TestFloodOfEmptyMessagesIsRefused(t *testing.T) {
	seen := newWitness(nil)
	tunnel := seen.serve(t, culvert.WithHeadTimeout(short))
	for _, method := range []string{"Exchange", "Upload"} {
		for _, w := range rpcWires {
			if !w.carries(method) {
				continue
			}
			t.Run(method+"/"+w.String(), func(t *testing.T) {
				measureLive(t, func() {
					client := newFlood("", w.body(t, method, &culvertv1.RequestFrame{}))
					defer client.Close()
					seen.expectRefusal(t, tunnel.call(t, w, method, client), deadlineExceeded, "")
				})
				if runs, _ := seen.forget(); runs > 0 {
					t.Error("the handler ran")
				}
			})
		}
	}
}

// A flood after the end holds nothing either, whether or not the handler looks.
func TestFloodAfterTheEndIsRefused(t *testing.T) {
	seen := newWitness(nil)
	tunnel := seen.serve(t)
	for _, method := range []string{"Exchange", "Upload"} {
		for _, w := range rpcWires {
			if !w.carries(method) {
				continue
			}
			t.Run(method+"/"+w.String(), func(t *testing.T) {
				request := w.body(t, method, whole(&requestHead{}, "")[0])
				client := newFlood(string(request), w.body(t, method, &culvertv1.RequestFrame{}))
				defer client.Close()
				got := tunnel.call(t, w, method, client)
				if record := seen.record(t); got.code != 0 || record.Err != nil {
					t.Errorf("got %v, and the record has %v", got, record.Err)
				}
			})
		}
	}
}

// stall is a body that begins with some bytes. Then either nothing comes, or the
// same bytes again and again.
type stall struct {
	first   io.Reader
	again   []byte
	once    sync.Once
	stopped chan struct{}
}

func newStall(first string) *stall {
	return &stall{first: strings.NewReader(first), stopped: make(chan struct{})}
}

func newFlood(first string, again []byte) *stall {
	flood := newStall(first)
	flood.again = bytes.Repeat(again, 100)
	return flood
}

func (s *stall) Read(p []byte) (int, error) {
	if n, err := s.first.Read(p); err == nil {
		return n, nil
	}
	if s.again == nil {
		<-s.stopped
		return 0, context.Canceled
	}
	select {
	case <-s.stopped:
		return 0, context.Canceled
	default:
		return copy(p, s.again), nil
	}
}

// Close implements io.Closer: the transport is done with the body.
func (s *stall) Close() error {
	s.once.Do(func() { close(s.stopped) })
	return nil
}

// holder is an inner handler that keeps its exchanges until it is told.
type holder struct {
	begun   chan struct{}
	once    sync.Once
	release chan struct{}
}

func newHolder() *holder {
	return &holder{begun: make(chan struct{}, 10_000), release: make(chan struct{})}
}

func (h *holder) ServeHTTP(http.ResponseWriter, *http.Request) {
	h.begun <- struct{}{}
	<-h.release
}

func (h *holder) letGo() { h.once.Do(func() { close(h.release) }) }

// The number of exchanges is bounded, in all and for each connection; a place is
// free again when a handler has returned, and not when its client has gone.
func TestTooManyExchangesAreRefused(t *testing.T) {
	for _, row := range []struct {
		name string
		most int
		opts []culvert.HandlerOption
	}{
		{"in all", 3, []culvert.HandlerOption{culvert.WithMaxExchanges(3)}},
		{"of a connection", 3, []culvert.HandlerOption{culvert.WithMaxExchangesPerConn(3)}},
		{"of a connection by default", culvert.DefaultMaxExchangesPerConn, nil},
	} {
		t.Run(row.name, func(t *testing.T) {
			holder := newHolder()
			tunnel := newTunnel(t, holder, row.opts...)
			t.Cleanup(holder.letGo)
			w := rpcWire{connect.ProtocolGRPC, "proto", true}
			request := w.body(t, "Exchange", whole(&requestHead{}, "")[0])
			// The client learns how many streams the one connection may have.
			tunnel.call(t, w, "Unknown", http.NoBody)
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			gone := make(chan error, row.most)
			for range row.most {
				go func() { gone <- tunnel.callAndLeave(ctx, w, request) }()
			}
			for range row.most {
				<-holder.begun
			}
			refused := func() {
				t.Helper()
				got := tunnel.call(t, w, "Exchange", bytes.NewReader(request))
				if got.cause != tooMany || got.code != codeOfCause[tooMany] || !strings.Contains(got.message, "exchanges at once") {
					t.Errorf("got %v", got)
				}
			}
			refused()
			cancel()
			for range row.most {
				<-gone //nolint:errcheck // how it ended does not matter
			}
			refused() // a client that resets its streams has not made room
			holder.letGo()
			ctx, cancel = context.WithTimeout(context.Background(), 10*time.Second)
			defer cancel()
			for { // the handlers return in their own time
				if got := tunnel.call(t, w, "Exchange", bytes.NewReader(request)); got.code == 0 {
					return
				} else if got.cause != tooMany || ctx.Err() != nil {
					t.Fatalf("got %v", got)
				}
			}
		})
	}
}

// callAndLeave makes an RPC and does not wait for its answer.
func (t *tunnel) callAndLeave(ctx context.Context, w rpcWire, body []byte) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, t.url+"/"+culvert.ServiceName+"/Exchange", bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", w.contentType("Exchange"))
	response, err := t.h2.Do(request)
	if err != nil {
		return err
	}
	return response.Body.Close()
}
