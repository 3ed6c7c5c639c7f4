package bridge

import (
	"context"
	"io"
	"math/rand/v2"
	"net/http"
	"net/textproto"
	"sync"
	"time"

	culvertv1 "github.com/culvert-http/culvert/api/culvert/v1"
	"github.com/culvert-http/culvert/internal/timeout"
)

// drainTimeout bounds how long the end of an RPC is waited for after the end of
// the response that it carried.
const drainTimeout = time.Second

// clientExchange is one request and its response on the client's side. It runs
// on the goroutines of its caller: that of RoundTrip up to the head of the
// response, then those that read and close its body. Only a body that streams
// has a goroutine of its own.
type clientExchange struct {
	client  *Client
	carrier Carrier
	request *ClientRequest
	ctx     context.Context //nolint:containedctx // an exchange is as long as its context
	trace   clientTrace
	frames  clientFrames
	timeout timeout.Timeout[clientExchange]

	watching timeout.Timeout[clientExchange] // until ctx is watched

	interims     int
	interimBytes int

	response     http.Response // once there is one
	responseBody clientResponseBody

	mu       sync.Mutex // guards what follows
	stream   ClientStream
	sender   *clientSender // nil if the request is one message
	failure  *Error        // why this end has given up
	unwatch  func() bool   // stops watching ctx
	released bool
}

// roundTrip tries to get a response until there is one, or an error after which
// it is not safe or of no use to send the request again.
func (x *clientExchange) roundTrip() (*http.Response, error) {
	request := x.request
	x.trace = traceOf(x.ctx, &request.head)
	if !request.Whole() || len(request.body.read) > MaxData && !x.carrier.Whole {
		x.sender = newClientSender(x, &request.body)
		request.head.NotifyAccepted = x.carrier.Duplex
	} else {
		request.frame.Data, request.frame.End = request.body.read, request.Upgrade() == ""
		request.frame.Trailers = encodeFields(trailerSection, request.request.Trailer)
	}
	x.watch()
	for try := 1; ; try++ {
		resp, err := x.try()
		if err == nil {
			request.sent()
			return resp, nil
		}
		if !x.prepareResend(err, try) {
			err = x.abort(err)
			x.release()
			return nil, err
		}
		x.backOff(try)
		if again := x.carrier.Again; again != nil {
			x.carrier = again()
		}
	}
}

// watch aborts the exchange when its context is done, until it is released.
func (x *clientExchange) watch() {
	x.unwatch = unwatched
	switch {
	case x.request.passer != nil && x.ctx.Err() == nil:
		x.client.watches.Start(&x.watching, watchDelay, x, (*clientExchange).watchNow)
	case x.ctx.Done() != nil:
		x.watchNow()
	}
}

// watchDelay is how long a request may take that a gateway passes on before the
// exchange watches for its client's leaving: to watch costs more than many an
// exchange has left to do.
const watchDelay = 20 * time.Millisecond

func (x *clientExchange) watchNow() {
	x.mu.Lock()
	defer x.mu.Unlock()
	if !x.released {
		x.unwatch = context.AfterFunc(x.ctx, func() { _ = x.abort(contextError(x.ctx)) })
	}
}

func unwatched() bool { return true }

// try sends the request once and waits for the head of its response.
func (x *clientExchange) try() (*http.Response, *Error) {
	stream, err := x.open()
	if err != nil {
		return nil, err
	}
	x.frames = clientFrames{stream: stream, awaits: x.request.head.GetNotifyAccepted()}
	x.interims, x.interimBytes = 0, 0
	if err := x.send(stream); err != nil && err != io.EOF { // at EOF the stream's end says more
		return nil, x.explain(streamError(err))
	}
	return x.awaitHead()
}

// open starts the RPC of a try.
func (x *clientExchange) open() (ClientStream, *Error) {
	ctx := x.ctx
	if x.request.Upgrade() != "" {
		// What comes of an upgrade outlives the context of its request, as in net/http:
		// it ends by being closed. Until then the exchange is aborted when ctx is done.
		ctx = context.WithoutCancel(ctx)
	}
	stream := x.carrier.Open(ctx)
	x.mu.Lock()
	failure := x.failure
	x.stream = stream
	x.mu.Unlock()
	if failure != nil {
		stream.Interrupt()
		return nil, failure
	}
	return stream, nil
}

// send sends the request, or its head if its body streams.
func (x *clientExchange) send(stream ClientStream) error {
	if x.sender != nil {
		if err := x.sender.begin(stream, &x.request.head); err != nil {
			return err
		}
		if !x.sender.running {
			x.sender.running = true
			go x.sender.run()
		}
		return nil
	}
	end := x.request.frame.GetEnd()
	traced := end && x.trace.delegate(stream)
	if err := stream.Send(&x.request.frame); err != nil {
		return err
	}
	if !traced {
		x.trace.wroteHeaders()
		x.trace.wroteRequest(nil)
	}
	if end {
		return stream.CloseSend()
	}
	return nil
}

// awaitHead receives what comes up to the head of the response.
func (x *clientExchange) awaitHead() (*http.Response, *Error) {
	for first := true; ; {
		if err := x.frames.next(); err != nil {
			return nil, x.explain(err)
		}
		if x.sender != nil {
			x.sender.accepted()
		}
		frame := &x.frames.frame
		if first && !frame.GetAccepted() {
			first = false
			x.trace.gotFirstResponseByte()
		}
		for _, head := range frame.GetInformational() {
			if err := x.takeInterim(head); err != nil {
				return nil, err
			}
		}
		if frame.GetHead() != nil {
			return x.takeHead(frame)
		}
	}
}

// takeInterim shows an interim response to the caller's hooks.
func (x *clientExchange) takeInterim(head *culvertv1.InformationalHead) *Error {
	status := int(head.GetStatus())
	if status < 100 || status > 199 || status == http.StatusSwitchingProtocols {
		return malformedResponse("interim response with status %d", head.GetStatus())
	}
	if x.interims++; x.interims > x.client.Interims {
		return responseTooLarge("more than %d interim responses", x.client.Interims)
	}
	if over := x.client.Limits.exceededBy(head.GetHeaders(), x.interimBytes); over != "" {
		return responseTooLarge("interim responses: %s", over)
	}
	x.interimBytes += sizeOfFields(head.GetHeaders())
	header, err := decodeFields(head.GetHeaders(), interimHeader)
	if err != nil {
		return malformedResponse("interim response: %w", err)
	}
	if status == http.StatusContinue && expectsContinue(x.request.request) {
		x.trace.got100Continue()
		if x.sender != nil {
			x.sender.proceed()
		}
	}
	if err := x.showInterim(status, header); err != nil {
		return &Error{Cause: culvertv1.Cause_CAUSE_CANCELED, Err: err}
	}
	return nil
}

// showInterim gives an interim response to whoever wants to see it.
func (x *clientExchange) showInterim(status int, header http.Header) error {
	if passer := x.request.passer; passer != nil {
		if err := passer.Interim(status, header); err != nil {
			return err
		}
	}
	return x.trace.got1xxResponse(status, textproto.MIMEHeader(header))
}

// prepareResend decides whether a request is sent again, and makes its body
// ready for that. Nothing but the server's word that it did not start the
// exchange makes that safe.
func (x *clientExchange) prepareResend(err *Error, try int) bool {
	if !err.NotStarted || !err.Remote || x.interims > 0 || try >= x.client.Tries {
		return false
	}
	x.mu.Lock()
	stream, failed := x.stream, x.failure != nil
	x.mu.Unlock()
	if failed {
		return false
	}
	stream.Interrupt()
	if x.sender == nil || x.sender.canResend() {
		return true
	}
	return x.rewind()
}

// rewind starts the body from its beginning, for what was sent of it is not
// there any more.
func (x *clientExchange) rewind() bool {
	req := x.request.request
	if req.GetBody == nil {
		return false
	}
	source, err := req.GetBody()
	if err != nil {
		return false
	}
	x.sender.stop()
	sender := newClientSender(x, &clientBody{source: source, length: x.request.body.length})
	x.mu.Lock()
	x.sender = sender
	x.mu.Unlock()
	return true
}

// backOff waits before the next try, or until the exchange is aborted.
func (x *clientExchange) backOff(try int) {
	delay := x.client.Backoff << (try - 1)
	delay += rand.N(delay/2 + 1) //nolint:gosec // so that not all come back at once
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-x.ctx.Done():
	}
}

// abort ends the exchange before its end, at both ends of the tunnel, and
// returns the reason, which is the first one given.
func (x *clientExchange) abort(err *Error) *Error {
	x.mu.Lock()
	if x.released {
		x.mu.Unlock()
		return err
	}
	if x.failure == nil {
		x.failure = err
	}
	failure, stream, sender := x.failure, x.stream, x.sender
	x.mu.Unlock()
	if stream != nil {
		stream.Interrupt()
	}
	if sender != nil {
		sender.stop()
	}
	return failure
}

// reasonOr returns why this end has given up, or err if it has not.
func (x *clientExchange) reasonOr(err error) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.failure != nil {
		return x.failure
	}
	return err
}

// explain returns the reason of an error that the stream gave: if this end has
// given up, then that.
func (x *clientExchange) explain(err error) *Error {
	x.mu.Lock()
	failure := x.failure
	x.mu.Unlock()
	if failure != nil {
		return x.atDeadline(failure)
	}
	if x.request.Upgrade() != "" {
		return streamError(err)
	}
	if x.ctx.Err() != nil {
		return x.atDeadline(contextError(x.ctx))
	}
	return x.atDeadline(streamError(err))
}

// deadlineSlack is how far a deadline of the caller's may be off elsewhere: what is
// sent of it is whole milliseconds, and others notice sooner or later.
const deadlineSlack = 20 * time.Millisecond

// atDeadline returns err, if it is that of a deadline not before the caller's own
// has passed, for the server's clock can be ahead of it: who finds that his time is
// over looks at his context, and an http.Client whether its Timeout has closed
// Cancel.
func (x *clientExchange) atDeadline(err *Error) *Error {
	deadline, ok := x.ctx.Deadline()
	if !ok || err.Cause != culvertv1.Cause_CAUSE_DEADLINE_EXCEEDED || time.Until(deadline) > deadlineSlack {
		return err
	}
	timer := time.NewTimer(max(time.Until(deadline), 0) + deadlineSlack)
	defer timer.Stop()
	select {
	case <-x.ctx.Done():
	case <-timer.C:
		return err
	}
	if cancel := cancelOf(x.request.request); cancel != nil {
		select {
		case <-cancel:
		case <-timer.C:
		}
	}
	return contextError(x.ctx)
}

// drain waits for the end of the RPC, so that the server is not told of a
// cancellation when it is done anyway, and nothing can follow the end unseen. A
// server that answered early would itself wait for the rest of the request:
// there the exchange is over as it is.
func (x *clientExchange) drain() *Error {
	if x.carrier.Multiplexed || x.sender != nil && !x.sender.isDone() {
		return nil // a session sees what follows the end
	}
	x.client.drains.Start(&x.timeout, drainTimeout, x, func(x *clientExchange) { x.stream.Interrupt() })
	defer x.client.drains.Stop(&x.timeout)
	err := x.frames.end()
	if err != nil && err.Cause == culvertv1.Cause_CAUSE_MALFORMED_RESPONSE && !err.Remote {
		return err
	}
	return nil // the response is complete, however the RPC ends
}

// release lets go of all that the exchange holds.
func (x *clientExchange) release() {
	if x.request.passer != nil {
		x.client.watches.Stop(&x.watching)
	}
	x.mu.Lock()
	x.released = true
	stream, sender, unwatch := x.stream, x.sender, x.unwatch
	x.mu.Unlock()
	unwatch()
	x.request.end()
	if stream != nil {
		stream.Interrupt()
	}
	if sender != nil {
		sender.stop()
	}
}
