package culvert_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"connectrpc.com/connect"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/protobuf/proto"

	"github.com/culvert-http/culvert"
	culvertv1 "github.com/culvert-http/culvert/api/culvert/v1"
)

var errDraining = tunnelError(connect.CodeUnavailable, culvertv1.Cause_CAUSE_DRAINING, true)

// refuseFirst refuses a number of exchanges, each after some of their request,
// and then follows the script.
func refuseFirst(n int32, after int, then func(context.Context, *exchangeRPC) error) (func(context.Context, *exchangeRPC) error, *atomic.Int32) {
	var tries atomic.Int32
	return func(ctx context.Context, stream *exchangeRPC) error {
		if tries.Add(1) > n {
			return then(ctx, stream)
		}
		for size := 0; size < after; {
			frame, err := stream.Receive()
			if err != nil {
				return err
			}
			size += len(frame.GetData())
		}
		return errDraining
	}, &tries
}

// echoScript accepts and sends back what it gets, frame by frame.
func echoScript(_ context.Context, stream *exchangeRPC) error {
	first, err := stream.Receive()
	if err != nil {
		return err
	}
	if first.GetHead().GetNotifyAccepted() {
		if err := stream.Send(&responseFrame{Accepted: true}); err != nil {
			return err
		}
	}
	head := responseHead(200)
	for frame := first; ; {
		if err := stream.Send(&responseFrame{Head: head, Data: frame.GetData(), End: frame.GetEnd()}); err != nil || frame.GetEnd() {
			return err
		}
		head = nil
		if frame, err = stream.Receive(); err != nil {
			return err
		}
	}
}

func TestTransportResendsWhatWasNotStarted(t *testing.T) {
	kept := strings.Repeat("k", 200<<10)
	for name, row := range map[string]struct {
		body  func() io.Reader
		want  string
		after int
	}{
		"no body":       {func() io.Reader { return nil }, "", 0},
		"small body":    {func() io.Reader { return strings.NewReader("hello") }, "hello", 5},
		"streamed body": {func() io.Reader { return opaque{strings.NewReader("hello")} }, "hello", 5},
		"not yet read":  {func() io.Reader { return opaque{strings.NewReader(mebibytes(2))} }, mebibytes(2), 0},
		"long body":     {func() io.Reader { return opaque{strings.NewReader(kept + mebibytes(2))} }, kept + mebibytes(2), 100 << 10},
	} {
		t.Run(name, func(t *testing.T) {
			play, tries := refuseFirst(2, row.after, echoScript)
			r := newScript(t, play)
			got := readBody(t, r.do(t, newRigRequest(t, http.MethodPost, "/", row.body())))
			if got != row.want || tries.Load() != 3 {
				t.Errorf("%d bytes came back of %d, in %d tries", len(got), len(row.want), tries.Load())
			}
		})
	}
}

func TestTransportMovesAStreamToAnotherTry(t *testing.T) {
	play, _ := refuseFirst(1, 5, echoScript)
	r := newScript(t, play)
	body, write := io.Pipe()
	go func() { _, _ = io.WriteString(write, "first") }()
	resp := r.do(t, newRigRequest(t, http.MethodPost, "/", body))
	buf := make([]byte, 5)
	if _, err := io.ReadFull(resp.Body, buf); err != nil || string(buf) != "first" {
		t.Fatalf("got %q, %v", buf, err)
	}
	go func() {
		_, _ = io.WriteString(write, "second")
		_ = write.Close()
	}()
	if got := readBody(t, resp); got != "second" {
		t.Errorf("got %q", got)
	}
}

// Before the server has accepted, no more is sent than can be sent again.
func TestTransportSendsOnlyWhatItKeeps(t *testing.T) {
	sent := make(chan int, 1)
	r := newScript(t, func(ctx context.Context, stream *exchangeRPC) error {
		size := 0
		for size < 256<<10 {
			frame, err := stream.Receive()
			if err != nil {
				return err
			}
			size += len(frame.GetData())
		}
		more := make(chan *requestFrame, 1)
		go func() {
			frame, err := stream.Receive()
			if err != nil {
				t.Error(err)
			}
			more <- frame
		}()
		select {
		case <-more:
			t.Error("more than 256 KiB before accepted")
		default:
		}
		if err := stream.Send(&responseFrame{Accepted: true}); err != nil {
			return err
		}
		size += len((<-more).GetData())
		for {
			frame, err := stream.Receive()
			if err != nil {
				return err
			}
			if size += len(frame.GetData()); frame.GetEnd() {
				sent <- size
				return stream.Send(&responseFrame{Head: responseHead(200), End: true})
			}
		}
	})
	readBody(t, r.do(t, newRigRequest(t, http.MethodPost, "/", opaque{bytes.NewReader(make([]byte, 1<<20))})))
	if got := await(t, "the end", sent); got != 1<<20 {
		t.Errorf("%d bytes were sent", got)
	}
}

func TestTransportResendsNothingElse(t *testing.T) {
	accepted := &responseFrame{Accepted: true}
	for name, play := range map[string]func(context.Context, *exchangeRPC) error{
		"unavailable": answer(connect.NewError(connect.CodeUnavailable, errors.New("maybe started"))),
		"draining":    answer(tunnelError(connect.CodeUnavailable, culvertv1.Cause_CAUSE_DRAINING, false)),
		"interim":     answer(errDraining, &responseFrame{Informational: []*culvertv1.InformationalHead{{Status: 103}}}),
		"head":        answer(errDraining, &responseFrame{Head: responseHead(200)}),
		"accepted": func(_ context.Context, stream *exchangeRPC) error {
			if _, err := stream.Receive(); err != nil {
				return err
			}
			if err := stream.Send(accepted); err != nil {
				return err
			}
			for size := 0; size < 512<<10; {
				frame, err := stream.Receive()
				if err != nil {
					return err
				}
				size += len(frame.GetData())
			}
			return errDraining
		},
	} {
		t.Run(name, func(t *testing.T) {
			var tries atomic.Int32
			r := newScript(t, func(ctx context.Context, stream *exchangeRPC) error {
				tries.Add(1)
				return play(ctx, stream)
			})
			var body io.Reader
			if name == "accepted" {
				body = opaque{bytes.NewReader(make([]byte, 1<<20))}
			}
			resp, err := r.transport.RoundTrip(newRigRequest(t, http.MethodGet, "/", body))
			if err == nil {
				_, err = io.ReadAll(resp.Body)
				_ = resp.Body.Close()
			}
			if err == nil || tries.Load() != 1 {
				t.Errorf("error %v after %d tries", err, tries.Load())
			}
		})
	}
}

func TestTransportGivesUpResending(t *testing.T) {
	play, tries := refuseFirst(100, 0, nil)
	r := newScript(t, play, culvert.WithTries(3))
	resp, err := r.transport.RoundTrip(newRigRequest(t, http.MethodGet, "/", nil))
	if err == nil {
		_ = resp.Body.Close()
	}
	wantCause(t, err, culvertv1.Cause_CAUSE_DRAINING)
	if tries.Load() != 3 {
		t.Errorf("%d tries", tries.Load())
	}
}

func TestTransportRewindsWhatItDidNotKeep(t *testing.T) {
	play, tries := refuseFirst(1, 0, echoScript)
	accept := func(ctx context.Context, stream *exchangeRPC) error {
		if tries.Load() == 0 { // a proxy that accepts, and then does not reach what is behind it
			tries.Add(1)
			if err := stream.Send(&responseFrame{Accepted: true}); err != nil {
				return err
			}
			for size := 0; size < 512<<10; {
				frame, err := stream.Receive()
				if err != nil {
					return err
				}
				size += len(frame.GetData())
			}
			return errDraining
		}
		return play(ctx, stream)
	}
	tries.Store(0)
	r := newScript(t, accept)
	content := mebibytes(1)
	req := newRigRequest(t, http.MethodPost, "/", opaque{strings.NewReader(content)})
	req.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(opaque{strings.NewReader(content)}), nil }
	if got := readBody(t, r.do(t, req)); got != content {
		t.Errorf("%d bytes came back", len(got))
	}
}

// refusingServer speaks HTTP/2 and refuses the first stream of every connection
// after it has read its request, as a server does that shuts down.
func refusingServer(tb testing.TB, refuse func(*http2.Framer, uint32) error) string {
	tb.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	done := make(chan struct{})
	tb.Cleanup(func() {
		_ = listener.Close()
		<-done
	})
	go func() {
		defer close(done)
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			_ = refuseStreams(conn, refuse)
			_ = conn.Close()
		}
	}()
	return "http://" + listener.Addr().String()
}

func refuseStreams(conn net.Conn, refuse func(*http2.Framer, uint32) error) error {
	if _, err := io.ReadFull(conn, make([]byte, len(http2.ClientPreface))); err != nil {
		return err
	}
	framer := http2.NewFramer(conn, conn)
	if err := framer.WriteSettings(); err != nil {
		return err
	}
	refused := false
	for {
		frame, err := framer.ReadFrame()
		if err != nil {
			return err
		}
		switch frame := frame.(type) {
		case *http2.SettingsFrame:
			if !frame.IsAck() {
				if err := framer.WriteSettingsAck(); err != nil {
					return err
				}
			}
		case *http2.DataFrame:
			if !frame.StreamEnded() {
				continue
			}
			if !refused {
				refused = true
				if err := refuse(framer, frame.StreamID); err != nil {
					return err
				}
				continue
			}
			if err := writeGRPCResponse(framer, frame.StreamID); err != nil {
				return err
			}
		}
	}
}

// writeGRPCResponse sends a response with status 204.
func writeGRPCResponse(framer *http2.Framer, stream uint32) error {
	var block bytes.Buffer
	encoder := hpack.NewEncoder(&block)
	fields := func(pairs ...string) []byte {
		block.Reset()
		for i := 0; i < len(pairs); i += 2 {
			_ = encoder.WriteField(hpack.HeaderField{Name: pairs[i], Value: pairs[i+1]})
		}
		return bytes.Clone(block.Bytes())
	}
	head := fields(":status", "200", "content-type", "application/grpc")
	trailer := fields("grpc-status", "0")
	message, err := proto.Marshal(&responseFrame{Head: responseHead(http.StatusNoContent), End: true})
	if err != nil {
		return err
	}
	return errors.Join(
		framer.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: head, EndHeaders: true}),
		framer.WriteData(stream, false, append([]byte{0, 0, 0, 0, byte(len(message))}, message...)),
		framer.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: trailer, EndHeaders: true, EndStream: true}),
	)
}

func TestTransportResendsWhatHTTP2DidNotProcess(t *testing.T) {
	for name, refuse := range map[string]func(*http2.Framer, uint32) error{
		"refused": func(framer *http2.Framer, stream uint32) error {
			return framer.WriteRSTStream(stream, http2.ErrCodeRefusedStream)
		},
	} {
		t.Run(name, func(t *testing.T) {
			for _, body := range []io.Reader{nil, strings.NewReader("hello"), opaque{strings.NewReader("hello")}} {
				transport := newRigTransport(t, refusingServer(t, refuse))
				resp, err := transport.RoundTrip(newRigRequest(t, http.MethodPost, "/", body))
				if err != nil {
					t.Errorf("%T: %v", body, err)
					continue
				}
				if readBody(t, resp); resp.StatusCode != http.StatusNoContent {
					t.Error(resp.Status)
				}
				_ = transport.Close()
			}
		})
	}
}

func TestTransportSurvivesAServersShutdown(t *testing.T) {
	app := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(w, r.Body); err != nil {
			panic(http.ErrAbortHandler)
		}
	})
	first, second := newRig(t, app), newRig(t, app)
	var address atomic.Value
	address.Store(first.server.Listener.Addr().String())
	transport := newRigTransport(t, first.server.URL, culvert.WithDialContext(
		func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, address.Load().(string))
		}))
	done := make(chan error, 8)
	for i := range cap(done) {
		go func() {
			for j := range 50 {
				content := fmt.Sprint(i, j)
				req := newRigRequest(t, http.MethodPost, "/", opaque{strings.NewReader(content)})
				resp, err := transport.RoundTrip(req)
				if err != nil {
					done <- err
					return
				}
				got, err := io.ReadAll(resp.Body)
				_ = resp.Body.Close()
				if err != nil || string(got) != content {
					done <- fmt.Errorf("%q, %w", got, err)
					return
				}
				if i == 0 && j == 10 {
					address.Store(second.server.Listener.Addr().String())
					go func() {
						_ = first.handler.Shutdown(t.Context())
						_ = first.server.Config.Shutdown(t.Context())
					}()
				}
			}
			done <- nil
		}()
	}
	for range cap(done) {
		if err := await(t, "a client", done); err != nil {
			t.Error(err)
		}
	}
}

// A server that drains is left while its connections are still there.
func TestTransportLeavesAServerThatDrains(t *testing.T) {
	t.Parallel()
	say := func(text string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			fmt.Fprint(w, text)
		})
	}
	for _, w := range ways() {
		t.Run(w.String(), func(t *testing.T) {
			t.Parallel()
			first := newRigSpeaking(t, say("first"), w.http2)
			second := newRigSpeaking(t, say("second"), w.http2)
			var address atomic.Value
			address.Store(first.server.Listener.Addr().String())
			transport := newRigTransport(t, first.server.URL, append(w.options(), culvert.WithDialContext(
				func(ctx context.Context, network, _ string) (net.Conn, error) {
					return new(net.Dialer).DialContext(ctx, network, address.Load().(string))
				}))...)
			for _, want := range []string{"first", "second"} {
				resp, err := transport.RoundTrip(newRigRequest(t, http.MethodPost, "/", opaque{strings.NewReader("hello")}))
				if err != nil {
					t.Fatal(err)
				}
				if got := readBody(t, resp); got != want {
					t.Errorf("got %s, want %s", got, want)
				}
				address.Store(second.server.Listener.Addr().String())
				if err := first.handler.Shutdown(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}
