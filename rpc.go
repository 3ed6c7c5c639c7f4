package culvert

import (
	"context"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"connectrpc.com/connect"

	"github.com/culvert-http/culvert/internal/bridge"
	"github.com/culvert-http/culvert/internal/connwatch"
)

// rpc is what the mount knows of a call, from its first byte to its last. It is
// in the context of everything that serves the call.
type rpc struct {
	memory  *rpcMemory // nil in a session
	handler *Handler
	peer    Peer
	outer   *rpc          // that carries the request which is this RPC
	request *http.Request // the RPC's
	start   time.Time
	result  bridge.Result
	begun   bool // one of the methods has the call
	// stopWatch ends the watch over the arrival of the one message.
	stopWatch func()
	// unobserved says that the call is no exchange itself.
	unobserved bool
	wrote      bool // a message, around connect
	// valid is done when the credential of the call has ended, nil if it does not.
	valid context.Context //nolint:containedctx // not the call's

	writer  http.ResponseWriter
	stall   *stallWriter      // that writer goes through it; nil in a session
	holds   atomic.Bool       // connect's flushes: what was written goes out with what follows
	held    *connwatch.Holder // the same, by the connection
	flushMu sync.Mutex        // held while what was held back is flushed; guards over
	over    bool              // what was held back goes out with the end of the RPC
	body    *rpcBody
	closing bool // the connection, after the answer

	interrupted atomic.Bool // receiving

	mu      sync.Mutex // guards what follows
	control *http.ResponseController
	ended   bool
}

type rpcKey struct{}

func rpcOf(ctx context.Context) *rpc {
	call, _ := ctx.Value(rpcKey{}).(*rpc)
	return call
}

// within reports whether the call, or one that carries it, is the handler's.
func (c *rpc) within(h *Handler) bool {
	for ; c != nil; c = c.outer {
		if c.handler == h {
			return true
		}
	}
	return false
}

// PeerFromContext returns the client of the RPC that carries the request of ctx.
// It reports false outside of an inner handler.
func PeerFromContext(ctx context.Context) (Peer, bool) {
	call := rpcOf(ctx)
	if call == nil {
		return Peer{}, false
	}
	return call.peer, true
}

// inThePast is a deadline that has passed.
var inThePast = time.Unix(1, 0)

// InterruptReceive implements the bridge's streams for all methods whose request
// is a stream.
func (c *rpc) InterruptReceive() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended { // net/http's writers do not survive their handlers
		return
	}
	c.interrupted.Store(true)
	if err := c.control.SetReadDeadline(inThePast); err != nil && c.request.ProtoMajor >= 2 {
		// A middleware hides net/http's own writer. In HTTP/2 closing a body does not
		// wait for its readers.
		_ = c.request.Body.Close()
	}
}

// InterruptSend implements the bridge's streams for all methods whose response
// is a stream.
func (c *rpc) InterruptSend() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.ended {
		_ = c.control.SetWriteDeadline(inThePast)
	}
}

// hold has what is written from now on go out with the end of the RPC, which comes
// soon, and reports whether that can be.
func (c *rpc) hold() bool {
	c.held = connwatch.Hold(c.request.Context())
	return c.held != nil
}

// FlushLast implements bridge.HoldingStream for all methods whose response is a
// stream.
func (c *rpc) FlushLast() {
	c.flushMu.Lock()
	defer c.flushMu.Unlock()
	if !c.over && c.holds.Swap(false) {
		_ = c.control.Flush()
	}
	c.held.Release()
}

// rpcWriter is the writer of an RPC as connect has it.
type rpcWriter struct {
	http.ResponseWriter
	call *rpc
}

// Flush implements http.Flusher.
func (w *rpcWriter) Flush() {
	if !w.call.holds.Load() {
		_ = w.call.control.Flush()
	}
}

// Unwrap is for http.ResponseController.
func (w *rpcWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// end takes the RPC away from those who would still interrupt it.
func (c *rpc) end() {
	c.flushMu.Lock()
	c.over = true
	c.flushMu.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended = true
}

// closeAfter has a connection of HTTP/1.1 closed after the answer, whose head is
// not written yet, if the request was not read to its end. Else net/http would
// read on before it writes the answer, and take what comes after an interruption
// for the next request.
func (c *rpc) closeAfter() {
	if c.request.ProtoMajor < 2 && (c.interrupted.Load() || !c.body.ended) {
		c.closing = true
		c.writer.Header().Set("Connection", "close")
		lingerAfter(c.writer)
	}
}

// lingerAfter has net/http leave the connection half-open for a moment after the
// answer, as it does for bodies over a limit: a client that still sends would
// lose the answer to the reset.
func lingerAfter(w http.ResponseWriter) {
	if text, ok := w.(*webTextWriter); ok {
		w = text.to
	}
	if stall, ok := w.(*stallWriter); ok {
		w = stall.ResponseWriter // it is net/http's own that knows what this means
	}
	over := http.MaxBytesReader(w, io.NopCloser(strings.NewReader("x")), 0)
	_, _ = over.Read(make([]byte, 1))
}

// ofClient returns a context that ends with ctx, but not when it is the server
// that has interrupted the reading of a request of HTTP/1.1: net/http takes that
// for the end of the client.
func (c *rpc) ofClient(ctx context.Context) (context.Context, context.CancelFunc) {
	if c.request.ProtoMajor >= 2 {
		return ctx, func() {}
	}
	client, release := context.WithoutCancel(ctx), func() {}
	if at, ok := ctx.Deadline(); ok {
		client, release = context.WithDeadline(client, at)
	}
	client, cancel := context.WithCancelCause(client)
	stop := context.AfterFunc(ctx, func() {
		_, ended := bridge.AsError(context.Cause(ctx)) // by this end, on purpose
		if ctx.Err() == context.Canceled && (ended || !c.interrupted.Load()) {
			cancel(context.Cause(ctx))
		}
	})
	return client, func() {
		stop()
		cancel(nil)
		release()
	}
}

// stopReading keeps net/http from waiting for the rest of a request before it
// closes the connection.
func (c *rpc) stopReading() {
	if c.closing {
		_ = c.control.SetReadDeadline(inThePast)
	}
}

// serve runs the exchange that the stream carries.
func (c *rpc) serve(ctx context.Context, peer connect.Peer, stream bridge.ServerStream, shape bridge.Origin) error {
	c.begun = true
	c.peer.Protocol = peer.Protocol
	if c.stopWatch != nil {
		c.stopWatch()
	}
	ctx, release := c.ofClient(ctx)
	defer release()
	if limit := c.handler.config.maxDuration; limit > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, limit)
		defer cancel()
	}
	shape.Scheme, shape.Authority = "http", c.request.Host
	if c.request.TLS != nil {
		shape.Scheme = "https"
	}
	shape.RemoteAddr, shape.TLS = c.request.RemoteAddr, c.request.TLS
	shape.Trusted = c.peer.Identity.Trusted
	shape.Ends = c.valid != nil
	c.result = c.handler.bridge.Serve(ctx, stream, &shape)
	c.settle()
	c.end()
	c.closeAfter()
	return c.errorOfRPC()
}

// stalled reports whether the client has stopped reading the RPC.
func (c *rpc) stalled() bool { return c.stall != nil && c.stall.stalled() }

// refuse ends the call without an exchange.
func (c *rpc) refuse(err *Error) error {
	c.begun = true
	c.result = bridge.Result{Err: err}
	return c.errorOfRPC()
}

func (c *rpc) errorOfRPC() error {
	if c.result.Err == nil {
		return nil
	}
	return toRPC(c.result.Err)
}

// observe tells the observer how the call went.
func (c *rpc) observe() {
	if c.result.Err == nil && c.stalled() {
		c.result.Err = stalledFor(c.handler.config.stallTimeout)
	}
	observe := c.handler.config.observe
	if observe == nil || c.unobserved && c.result.Err == nil {
		return
	}
	record := Record{
		Peer:          c.peer,
		Status:        c.result.Status,
		RequestBytes:  c.result.RequestBytes,
		ResponseBytes: c.result.ResponseBytes,
		Start:         c.start,
		Duration:      time.Since(c.start),
	}
	if r := c.result.Request; r != nil {
		record.Method, record.Authority, record.Path = r.Method, r.Host, r.RequestURI
	}
	if c.result.Err != nil {
		record.Err = c.result.Err
	}
	observe(c.request.Context(), record)
}
