package bridge

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	culvertv1 "github.com/culvert-http/culvert/api/culvert/v1"
)

type (
	requestFrame = culvertv1.RequestFrame
	headMessage  = culvertv1.RequestHead
)

// memoryStream is a stream in memory. It keeps to the words of ServerStream: what
// Receive gives out is overwritten by the next call.
type memoryStream struct {
	requests  chan *requestFrame // closed by the client's half-close
	responses chan *culvertv1.ResponseFrame
	data      []byte // of the frame that was received last

	receive, send interruption
	paused        chan struct{} // nil for one that cannot be paused
}

// newMemoryStream returns a stream that holds so many responses that nobody has
// taken yet.
func newMemoryStream(responses int) *memoryStream {
	return &memoryStream{
		requests:  make(chan *requestFrame, 100),
		responses: make(chan *culvertv1.ResponseFrame, responses),
		receive:   newInterruption(),
		send:      newInterruption(),
	}
}

// interruption is a channel that many may close.
type interruption struct {
	once sync.Once
	done chan struct{}
}

func newInterruption() interruption { return interruption{done: make(chan struct{})} }

func (i *interruption) interrupt() { i.once.Do(func() { close(i.done) }) }

var errInterrupted = errors.New("interrupted")

func (s *memoryStream) Receive(frame *requestFrame) error {
	clear(s.data)
	select {
	case <-s.receive.done:
		return errInterrupted
	default:
	}
	select {
	case <-s.receive.done:
		return errInterrupted
	case <-s.paused:
		return ErrPaused
	case request, ok := <-s.requests:
		if !ok {
			return io.EOF
		}
		frame.Reset()
		proto.Merge(frame, request)
		s.data = frame.GetData()
		return nil
	}
}

func (s *memoryStream) Send(frame *culvertv1.ResponseFrame) error {
	select {
	case <-s.send.done:
		return errInterrupted
	default:
	}
	select {
	case <-s.send.done:
		return errInterrupted
	case s.responses <- proto.CloneOf(frame):
		return nil
	}
}

func (s *memoryStream) InterruptReceive() { s.receive.interrupt() }
func (s *memoryStream) InterruptSend()    { s.send.interrupt() }

// pausingStream is a memoryStream that can be paused.
type pausingStream struct{ *memoryStream }

func (s pausingStream) PauseReceive() {
	select {
	case s.paused <- struct{}{}:
	default: // it is already
	}
}

// lose is what a transport does when its client goes: both directions fail.
func (s *memoryStream) lose() {
	s.InterruptReceive()
	s.InterruptSend()
}

// request sends frames of a request.
func (s *memoryStream) request(frames ...*requestFrame) {
	for _, frame := range frames {
		s.requests <- frame
	}
}

// halfClose ends the request.
func (s *memoryStream) halfClose() { close(s.requests) }

// served is an exchange that runs.
type served struct {
	*memoryStream
	cancel context.CancelFunc
	began  time.Time
	result chan Result
}

// serve runs an exchange with handler, on a server that adjust may change.
func serve(t *testing.T, stream *memoryStream, handler http.HandlerFunc, adjust ...func(*Server)) *served {
	t.Helper()
	return serveContext(t.Context(), t, stream, handler, adjust...)
}

func serveContext(ctx context.Context, t *testing.T, stream *memoryStream, handler http.HandlerFunc, adjust ...func(*Server)) *served {
	t.Helper()
	var ends ServerStream = stream
	if stream.paused != nil {
		ends = pausingStream{stream}
	}
	return serveOn(ctx, t, stream, ends, handler, adjust...)
}

// serveOn is serveContext for a stream that wraps another.
func serveOn(
	ctx context.Context, t *testing.T, inner *memoryStream, stream ServerStream, handler http.HandlerFunc, adjust ...func(*Server),
) *served {
	t.Helper()
	server := &Server{
		Handler:  handler,
		Limits:   Limits{HeadBytes: 64 << 10, Fields: 100},
		MaxBody:  1 << 20,
		Upgrades: []string{"websocket"},
		Logger:   slog.New(slog.DiscardHandler),
	}
	for _, adjust := range adjust {
		adjust(server)
	}
	ctx, cancel := context.WithCancel(ctx)
	s := &served{memoryStream: inner, cancel: cancel, began: time.Now(), result: make(chan Result, 1)}
	go func() {
		s.result <- server.Serve(ctx, stream, &Origin{Scheme: "http", Authority: "example.com", RemoteAddr: "192.0.2.1:1", Streaming: true})
		cancel()
	}()
	return s
}

// wait returns how the exchange ended, and after how long.
func (s *served) wait() (Result, time.Duration) {
	result := <-s.result
	return result, time.Since(s.began)
}

// expectEnd checks how an exchange ends and when, in the bubble's time. A cause
// of 0 means without an error.
func (s *served) expectEnd(t *testing.T, cause culvertv1.Cause, after time.Duration) Result {
	t.Helper()
	result, took := s.wait()
	var got culvertv1.Cause
	if result.Err != nil {
		got = result.Err.Cause
	}
	if got != cause || (result.Err == nil) != (cause == 0) {
		t.Errorf("the exchange ended with %v, want %v", result.Err, cause)
	}
	if took != after {
		t.Errorf("the exchange took %s, want %s", took, after)
	}
	return result
}

// body puts together what was sent of a response, and says whether its end was.
func (s *memoryStream) body() (status int, body string, ended bool) {
	for {
		select {
		case frame := <-s.responses:
			if frame.GetHead() != nil {
				status = int(frame.GetHead().GetStatus())
			}
			body += string(frame.GetData())
			ended = frame.GetEnd()
		default:
			return status, body, ended
		}
	}
}

// frames of requests.

func postFrame() *requestFrame { return &requestFrame{Head: &headMessage{Method: "POST", Path: "/"}} }

func dataFrame(data string) *requestFrame { return &requestFrame{Data: []byte(data)} }

func endFrame() *requestFrame { return &requestFrame{End: true} }

func wholeFrame() *requestFrame {
	return &requestFrame{Head: &headMessage{Method: "POST", Path: "/"}, End: true}
}

func upgradeFrame() *requestFrame {
	return &requestFrame{Head: &headMessage{Path: "/", Upgrade: "websocket"}}
}
