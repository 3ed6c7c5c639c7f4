package bridge

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"net/http"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/http/httpguts"

	culvertv1 "github.com/culvert-http/culvert/api/culvert/v1"
	"github.com/culvert-http/culvert/internal/timeout"
)

// exchange is one request and its response on the server's side. It runs on the
// goroutine of the RPC, and so does the handler.
type exchange struct {
	server *Server
	origin *Origin
	stream ServerStream
	ctx    exchangeContext

	request  *http.Request
	scheme   string // by which the client has come
	body     requestBody
	response response
	trailers http.Header // of the request, until the handler has read its body

	idle           idleWatch
	timeout, flush timeout.Timeout[exchange]
	writeDeadline  writeDeadline
	awaitsContinue atomic.Bool

	bulk    atomic.Pointer[bulkWriter]
	awaited atomic.Bool // the client, for more of its request

	failure atomic.Pointer[Error] // the first one, of the request or by Abort
	conn    *hijackedConn         // after Hijack

	sending    atomic.Bool
	sendMu     sync.Mutex // guards what follows
	finished   bool       // nothing may be sent any more
	sentStatus int
	sentBytes  int64
	sendErr    error
}

// run takes the exchange from its first message to its last.
func (e *exchange) run(ctx context.Context) *Error {
	first, err := e.receiveHead(ctx)
	if err != nil {
		return err
	}
	e.ctx.exchange = e
	e.ctx.begin(ctx, e.ownTimeout(first))
	defer e.ctx.End(context.Canceled)
	if multiplexed, ok := e.stream.(MultiplexedStream); ok {
		multiplexed.OnEnd(&e.ctx)
	}
	request, err := e.server.newRequest(&e.ctx, first, e.origin)
	if err != nil {
		return err
	}
	e.request = request
	e.scheme = schemeOf(first.GetHead().GetScheme(), e.origin)
	notify := first.GetHead().GetNotifyAccepted() && e.origin.Streaming
	if err := e.beginBody(first); err != nil {
		e.request = nil
		return err
	}
	first.Head = nil
	release(e.stream)
	if notify {
		if err := e.send(&culvertv1.ResponseFrame{Accepted: true}); err != nil {
			return receiveError(err)
		}
	}
	unwatch := func() bool { return true }
	if _, ok := e.ctx.Deadline(); ok || e.origin.Ends {
		unwatch = context.AfterFunc(&e.ctx, e.expire)
	}
	e.runHandler()
	err = e.finish()
	if err == nil {
		err = e.drain()
	}
	unwatch() // the cancellation of what the handler has left is no deadline
	e.ctx.End(context.Canceled)
	return err
}

func (e *exchange) interruptReceive() { e.stream.InterruptReceive() }

// ownTimeout returns the timeout of the head, 0 if it has none that counts.
func (e *exchange) ownTimeout(first *culvertv1.RequestFrame) time.Duration {
	if _, ok := e.stream.(MultiplexedStream); !ok {
		return 0
	}
	const most = uint64(math.MaxInt64 / int64(time.Millisecond))
	return time.Duration(min(first.GetHead().GetTimeoutMs(), most)) * time.Millisecond
}

// receiveHead reads the first message, which must not let itself be waited for.
func (e *exchange) receiveHead(ctx context.Context) (*culvertv1.RequestFrame, *Error) {
	e.body.exchange = e
	e.body.frames = requestFrames{stream: e.stream, maxData: MaxData}
	if e.origin.Whole {
		e.body.frames.maxData = e.server.MaxBody
	} else if e.server.HeadTimeout > 0 {
		if _, ok := e.stream.(MultiplexedStream); ok { // what opens the exchange is there
			if frame, again, err := e.body.frames.receive(); !again {
				return frame, err
			}
		}
		e.server.heads.Start(&e.timeout, e.server.HeadTimeout, e, (*exchange).interruptReceive)
		defer e.server.heads.Stop(&e.timeout)
	}
	began := time.Now()
	frame, err := e.body.frames.next()
	if err == nil {
		return frame, nil
	}
	if e.server.HeadTimeout > 0 && time.Since(began) >= e.server.HeadTimeout {
		return nil, overLimit(culvertv1.Cause_CAUSE_DEADLINE_EXCEEDED, "no request head within %s", e.server.HeadTimeout)
	}
	return nil, ofContext(ctx, err)
}

// beginBody makes the body of what came with the head.
func (e *exchange) beginBody(first *culvertv1.RequestFrame) *Error {
	r := e.request
	body := &e.body
	body.left = r.ContentLength
	if upgrades(r) {
		body.left = unknownLength // of the other protocol's bytes
	}
	if err := body.take(first); err != nil {
		return err
	}
	// Only a message that is the whole request says how long the body is going to
	// be, when there is no Content-Length; trailers need an unknown length.
	if e.origin.Whole && r.ContentLength == unknownLength && len(e.trailers) == 0 {
		r.ContentLength = int64(len(body.rest))
	}
	r.Body = body
	if upgrades(r) || r.ContentLength == 0 || body.ended && len(body.rest) == 0 {
		r.Body = http.NoBody
		e.revealTrailers()
		if body.ended {
			r.ContentLength = 0
		}
	}
	if r.ContentLength == unknownLength && r.ProtoMajor == 1 {
		r.TransferEncoding = []string{"chunked"}
	}
	e.expectContinue()
	e.idle.timeout, e.idle.stream = e.server.IdleTimeout, e.stream
	e.response.exchange, e.response.rules = e, rulesOf(r)
	return nil
}

// expectContinue reads the Expect field as net/http's servers do; the one for
// HTTP/2 hides it.
func (e *exchange) expectContinue() {
	values, ok := e.request.Header["Expect"]
	if !ok {
		return
	}
	expects := httpguts.HeaderValuesContainsToken(values, "100-continue")
	if e.request.ProtoMajor >= 2 && expects {
		delete(e.request.Header, "Expect")
	}
	e.awaitsContinue.Store(expects && e.origin.Streaming && e.request.ProtoAtLeast(1, 1))
}

// unmetExpectation reports whether the request expects what no server can do
// [RFC 9110 § 10.1.1].
func unmetExpectation(r *http.Request) bool {
	values := r.Header["Expect"]
	return len(values) > 0 && values[0] != "" && r.ProtoMajor == 1 &&
		!httpguts.HeaderValuesContainsToken(values, "100-continue")
}

// continueRequest tells the client that its body is wanted.
func (e *exchange) continueRequest() {
	if e.awaitsContinue.Load() && e.awaitsContinue.CompareAndSwap(true, false) {
		e.sendInformational(http.StatusContinue, nil)
	}
}

// runHandler runs the inner handler, and keeps its panics.
func (e *exchange) runHandler() {
	returned := false
	defer func() {
		switch cause := recover(); {
		case returned:
		case cause == nil: // runtime.Goexit, or a panic with nil where GODEBUG has panicnil=1
			e.fail(&Error{Cause: culvertv1.Cause_CAUSE_HANDLER_FAILED, Err: errors.New("handler has not returned")})
		case cause == http.ErrAbortHandler:
			e.fail(&Error{Cause: culvertv1.Cause_CAUSE_HANDLER_FAILED, Err: http.ErrAbortHandler})
		default:
			e.server.Logger.Error("panic in the inner handler", "panic", fmt.Sprint(cause), "stack", string(debug.Stack()))
			e.fail(&Error{Cause: culvertv1.Cause_CAUSE_HANDLER_FAILED, Err: errors.New("handler panicked")})
		}
	}()
	var w http.ResponseWriter = &e.response
	if upgrades(e.request) {
		w = upgradeWriter{&e.response}
	}
	if unmetExpectation(e.request) {
		w.WriteHeader(http.StatusExpectationFailed)
	} else {
		e.server.Handler.ServeHTTP(w, e.request)
	}
	returned = true
}

// finish sends what is left of the response and says how the exchange ended. The
// handler has returned; nothing of it may use the stream any more.
func (e *exchange) finish() *Error {
	if e.conn != nil {
		e.conn.wait(&e.ctx)
	}
	e.body.finish()
	e.idle.stop()
	e.writeDeadline.stop()
	if form := e.request.MultipartForm; form != nil {
		_ = form.RemoveAll()
	}
	err := e.failed()
	named, ended := endOf(&e.ctx)
	switch {
	case err != nil || e.conn != nil:
	case ended:
		err = named
	case errors.Is(e.ctx.Err(), context.DeadlineExceeded):
		// What a handler says when its time is over is not what it would have said.
		err = &Error{Cause: culvertv1.Cause_CAUSE_DEADLINE_EXCEEDED, Err: e.ctx.Err()}
	default:
		err = e.response.finish()
	}
	e.response.buffer.release()
	e.sendMu.Lock()
	e.finished = true
	e.sendMu.Unlock()
	e.response.head.release()
	if err == nil {
		return nil
	}
	return ofContext(&e.ctx, err)
}

// failed returns why the exchange has failed so far, nil if it has not.
func (e *exchange) failed() *Error {
	e.sendMu.Lock()
	defer e.sendMu.Unlock()
	if e.sendErr != nil {
		return sendError(e.sendErr, e.sentStatus != 0)
	}
	failure := e.failure.Load()
	if failure == nil || e.sentStatus == 0 {
		return failure
	}
	switch failure.Cause {
	case culvertv1.Cause_CAUSE_CANCELED, culvertv1.Cause_CAUSE_DEADLINE_EXCEEDED, culvertv1.Cause_CAUSE_MALFORMED_REQUEST,
		culvertv1.Cause_CAUSE_REQUEST_BODY_TOO_LARGE, culvertv1.Cause_CAUSE_REQUEST_HEAD_TOO_LARGE:
		return failure
	default: // whatever it was, what the client sees is half a response
		return &Error{Cause: culvertv1.Cause_CAUSE_RESPONSE_TRUNCATED, Err: failure}
	}
}

// cutShort sends what there is of a response that will not be complete.
func (e *exchange) cutShort(err error) *Error {
	_ = e.response.buffer.flush(&e.response)
	return &Error{Cause: culvertv1.Cause_CAUSE_RESPONSE_TRUNCATED, Err: err}
}

// fail implements failer. The first failure counts.
func (e *exchange) fail(err *Error) {
	if e.sentAnything() {
		err.NotStarted = false
	}
	e.failure.CompareAndSwap(nil, err)
}

// failRequest keeps an error of the request's stream, under the name that what
// the server knows of it gives it, and returns it.
func (e *exchange) failRequest(err *Error) *Error {
	if e.idle.expired.Load() {
		err = overLimit(culvertv1.Cause_CAUSE_DEADLINE_EXCEEDED, "nothing moved for %s", e.server.IdleTimeout)
	}
	err = ofContext(&e.ctx, err)
	e.failure.CompareAndSwap(nil, err)
	return err
}

// ofContext names an error for the end of ctx, if it has ended: what fails then
// fails because of it.
func ofContext(ctx context.Context, err *Error) *Error {
	if named, ok := endOf(ctx); ok {
		return &Error{Cause: named.Cause, Public: named.Public, Err: named.Err}
	}
	switch ctx.Err() {
	case nil:
		return err
	case context.DeadlineExceeded:
		return &Error{Cause: culvertv1.Cause_CAUSE_DEADLINE_EXCEEDED, Err: err}
	default:
		return &Error{Cause: culvertv1.Cause_CAUSE_CANCELED, Err: err}
	}
}

// endOf returns the error that ctx was ended with, if it is one of the tunnel's.
func endOf(ctx context.Context) (*Error, bool) {
	if ctx.Err() == nil {
		return nil, false
	}
	return AsError(context.Cause(ctx))
}

// expire runs when the exchange's context ends by a deadline: what waits for the
// client is woken up.
func (e *exchange) expire() {
	e.stream.InterruptReceive()
	e.interruptSend()
}

// interruptSend ends what is being sent.
func (e *exchange) interruptSend() {
	if e.sending.Load() {
		e.stream.InterruptSend()
	}
}

// takeTrailers keeps the trailers of the request until its body was read.
func (e *exchange) takeTrailers(fields []*culvertv1.Field) *Error {
	if len(fields) == 0 {
		return nil
	}
	if over := e.server.Limits.exceededBy(fields, 0); over != "" {
		return overLimit(culvertv1.Cause_CAUSE_REQUEST_HEAD_TOO_LARGE, "trailers: %s", over)
	}
	trailers, err := decodeFields(fields, trailerSection)
	if err != nil {
		return malformed("trailers: %w", err)
	}
	dropForwarded(trailers, e.origin.Trusted)
	e.trailers = trailers
	return nil
}

// revealTrailers puts the trailers where handlers look for them once the body is
// read.
func (e *exchange) revealTrailers() {
	if len(e.trailers) > 0 && e.request.Trailer == nil {
		e.request.Trailer = make(http.Header, len(e.trailers))
	}
	maps.Copy(e.request.Trailer, e.trailers)
	e.trailers = nil
}

// log reports a mistake of the handler's.
func (e *exchange) log(msg string, args ...any) {
	args = append(args, "method", e.request.Method, "path", clip(e.request.RequestURI))
	e.server.Logger.Warn(msg, args...)
}
