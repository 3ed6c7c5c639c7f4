package culvert_test

import (
	"compress/gzip"
	"context"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"

	"github.com/culvert-http/culvert"
	culvertv1 "github.com/culvert-http/culvert/api/culvert/v1"
)

// newRigBetween serves app through the tunnel with options for both ends.
func (w way) newRigBetween(tb testing.TB, app http.Handler, handler []culvert.HandlerOption, opts ...culvert.TransportOption) *rig {
	tb.Helper()
	mux := http.NewServeMux()
	mux.Handle(culvert.NewHandler(app, handler...))
	r := &rig{server: serveRig(tb, mux, w.http2)}
	r.transport = newRigTransport(tb, r.server.URL, append(w.options(), opts...)...)
	return r
}

// watcher is an interceptor that counts RPCs and their messages by procedure.
type watcher struct {
	mu                    sync.Mutex
	calls, received, sent map[string]int
	refuse                error
}

func newWatcher() *watcher {
	return &watcher{calls: map[string]int{}, received: map[string]int{}, sent: map[string]int{}}
}

func (w *watcher) note(of map[string]int, procedure string, message any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if m, ok := message.(proto.Message); message != nil && (!ok || proto.Size(m) == 0) {
		return // interceptors see messages, with what is in them
	}
	of[procedure[strings.LastIndex(procedure, "/")+1:]]++
}

func (w *watcher) of(counts map[string]int, method culvert.Method) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	for procedure, n := range counts {
		if strings.EqualFold(procedure, method.String()) {
			return n
		}
	}
	return 0
}

func (w *watcher) WrapUnary(next connect.UnaryFunc) connect.UnaryFunc {
	return func(ctx context.Context, request connect.AnyRequest) (connect.AnyResponse, error) {
		w.note(w.calls, request.Spec().Procedure, nil)
		w.note(w.received, request.Spec().Procedure, request.Any())
		if w.refuse != nil {
			return nil, w.refuse
		}
		response, err := next(ctx, request)
		if err == nil {
			w.note(w.sent, request.Spec().Procedure, response.Any())
		}
		return response, err
	}
}

func (w *watcher) WrapStreamingClient(next connect.StreamingClientFunc) connect.StreamingClientFunc {
	return func(ctx context.Context, spec connect.Spec) connect.StreamingClientConn {
		w.note(w.calls, spec.Procedure, nil)
		return watchedClientConn{next(ctx, spec), w}
	}
}

func (w *watcher) WrapStreamingHandler(next connect.StreamingHandlerFunc) connect.StreamingHandlerFunc {
	return func(ctx context.Context, conn connect.StreamingHandlerConn) error {
		w.note(w.calls, conn.Spec().Procedure, nil)
		if w.refuse != nil {
			return w.refuse
		}
		return next(ctx, watchedHandlerConn{conn, w})
	}
}

type watchedHandlerConn struct {
	connect.StreamingHandlerConn
	watcher *watcher
}

func (c watchedHandlerConn) Receive(message any) error {
	err := c.StreamingHandlerConn.Receive(message)
	if err == nil {
		c.watcher.note(c.watcher.received, c.Spec().Procedure, message)
	}
	return err
}

func (c watchedHandlerConn) Send(message any) error {
	c.watcher.note(c.watcher.sent, c.Spec().Procedure, message)
	return c.StreamingHandlerConn.Send(message)
}

type watchedClientConn struct {
	connect.StreamingClientConn
	watcher *watcher
}

func (c watchedClientConn) Receive(message any) error {
	err := c.StreamingClientConn.Receive(message)
	if err == nil {
		c.watcher.note(c.watcher.received, c.Spec().Procedure, message)
	}
	return err
}

func (c watchedClientConn) Send(message any) error {
	if message != nil {
		c.watcher.note(c.watcher.sent, c.Spec().Procedure, message)
	}
	return c.StreamingClientConn.Send(message)
}

var echoed = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	if _, err := io.Copy(w, r.Body); err != nil {
		panic(http.ErrAbortHandler)
	}
})

// echo has a rig echo a body.
func (r *rig) echo(t *testing.T) {
	t.Helper()
	body := strings.Repeat("hello ", 10_000)
	if got := readBody(t, r.do(t, newRigRequest(t, http.MethodPost, "/", strings.NewReader(body)))); got != body {
		t.Errorf("%d bytes came back, want %d", len(got), len(body))
	}
}

// Interceptors of connect at either end see every RPC of every method, and its
// messages.
func TestInterceptorsSeeEveryMethod(t *testing.T) {
	for _, w := range ways() {
		t.Run(w.String(), func(t *testing.T) {
			server, client := newWatcher(), newWatcher()
			w.newRigBetween(t, echoed,
				[]culvert.HandlerOption{culvert.WithConnectOptions(connect.WithInterceptors(server))},
				culvert.WithConnectClientOptions(connect.WithInterceptors(client)),
			).echo(t)
			for name, end := range map[string]*watcher{"server": server, "client": client} {
				if calls := end.of(end.calls, w.method); calls != 1 {
					t.Errorf("%s: %d RPCs, want 1", name, calls)
				}
				if received, sent := end.of(end.received, w.method), end.of(end.sent, w.method); received == 0 || sent == 0 {
					t.Errorf("%s: %d messages received and %d sent", name, received, sent)
				}
			}
		})
	}
}

// An interceptor can refuse RPCs.
func TestInterceptorRefuses(t *testing.T) {
	for _, w := range ways() {
		t.Run(w.String(), func(t *testing.T) {
			watcher := newWatcher()
			watcher.refuse = connect.NewError(connect.CodePermissionDenied, io.ErrNoProgress)
			r := w.newRigBetween(t, echoed, []culvert.HandlerOption{culvert.WithConnectOptions(connect.WithInterceptors(watcher))})
			resp, err := r.transport.RoundTrip(newRigRequest(t, http.MethodGet, "/", nil))
			if err == nil {
				_ = resp.Body.Close()
			}
			wantCause(t, err, culvertv1.Cause_CAUSE_PERMISSION_DENIED)
		})
	}
}

// Messages are compressed where that was asked for at both ends, by every method.
func TestCompressionThatIsAskedFor(t *testing.T) {
	for _, w := range ways() {
		t.Run(w.String(), func(t *testing.T) {
			var compressed, decompressed atomic.Int64
			gzipped := connect.WithAcceptCompression("gzip",
				func() connect.Decompressor { decompressed.Add(1); return &gzip.Reader{} },
				func() connect.Compressor { compressed.Add(1); return gzip.NewWriter(nil) },
			)
			w.newRigBetween(t, echoed,
				[]culvert.HandlerOption{culvert.WithConnectOptions(connect.WithCompressMinBytes(0))},
				culvert.WithConnectClientOptions(gzipped, connect.WithSendGzip()),
			).echo(t)
			if compressed.Load() == 0 || decompressed.Load() == 0 {
				t.Errorf("the client has compressed with %d, and decompressed with %d", compressed.Load(), decompressed.Load())
			}
		})
	}
}

// plainCodec is a codec of protobuf that knows nothing of this module.
type plainCodec struct{}

func (plainCodec) Name() string { return "proto" }

func (plainCodec) Marshal(message any) ([]byte, error) { return proto.Marshal(message.(proto.Message)) }

func (plainCodec) Unmarshal(data []byte, message any) error {
	return proto.Unmarshal(data, message.(proto.Message))
}

// A codec of another kind carries every method, at either end.
func TestCodecsCanBeReplaced(t *testing.T) {
	for _, w := range ways() {
		t.Run(w.String(), func(t *testing.T) {
			codec := connect.WithCodec(plainCodec{})
			t.Run("server", func(t *testing.T) {
				w.newRigBetween(t, echoed, []culvert.HandlerOption{culvert.WithConnectOptions(codec)}).echo(t)
			})
			t.Run("client", func(t *testing.T) {
				w.newRigBetween(t, echoed, nil, culvert.WithConnectClientOptions(codec)).echo(t)
			})
			t.Run("JSON", func(t *testing.T) {
				w.newRigBetween(t, echoed, nil, culvert.WithConnectClientOptions(connect.WithProtoJSON())).echo(t)
			})
		})
	}
}
