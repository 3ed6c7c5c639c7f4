package culvert

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync"
	"syscall"
	"time"

	culvertv1 "github.com/culvert-http/culvert/api/culvert/v1"
	"github.com/culvert-http/culvert/internal/bridge"
)

// gatewayExchange is one request on its way through a [Gateway], and its
// response on the way back.
type gatewayExchange struct {
	gateway *Gateway
	w       *stallWriter // x.writer
	writer  stallWriter
	control *http.ResponseController // of net/http's own writer
	r       *http.Request

	passed  bool               // by the short way
	fields  [7]bridge.Field    // that the gateway adds then
	upgrade string             // what the tunnel is asked to upgrade to, if anything
	body    *gatewayBody       // nil if the request has none
	cancel  context.CancelFunc // ends what the RoundTripper does; nil before it is asked, or if it ends with the response
	over    context.Context    //nolint:containedctx // the one that it ends

	// mu guards the ResponseWriter until the final head is written, for 1xx
	// responses come on a goroutine of the RoundTripper.
	mu        sync.Mutex
	wroteHead bool
	refused   bool // the response is the gateway's own
	continued bool // a 100 was written

	length int64 // of the response's body, -1 if its head does not say
	record Record
}

func newGatewayExchange(g *Gateway, w http.ResponseWriter, r *http.Request) *gatewayExchange {
	x := &gatewayExchange{
		gateway: g,
		r:       r,
		length:  -1,
		record:  Record{Start: time.Now()},
	}
	x.writer.watch(w, r, &g.stalls)
	x.w, x.control = &x.writer, &x.writer.control
	return x
}

// run takes the request through. It reports false if what was written of the
// response must be cut short.
func (x *gatewayExchange) run() (whole bool) {
	passage, refusal := x.examine()
	if refusal != nil {
		x.decline(refusal)
		return true
	}
	if x.r.ProtoMajor == 1 {
		// Without it, net/http reads the request to its end before it writes any of
		// the response. A writer that cannot do it is not net/http's.
		_ = x.control.EnableFullDuplex()
	}
	resp, err := x.send(passage)
	if err != nil {
		return x.fail(err)
	}
	defer func() {
		if x.cancel != nil {
			x.cancel() // or net/http's HTTP/2 has Close wait for the request's body
		}
		_ = resp.Body.Close()
	}()
	if resp.StatusCode == http.StatusSwitchingProtocols {
		return x.switchProtocols(resp)
	}
	return x.respond(resp)
}

// decline answers a request that goes nowhere. Its body is not waited for, which
// net/http would do before it writes the answer.
func (x *gatewayExchange) decline(refusal *gatewayRefusal) {
	if x.body == nil && x.r.Body != http.NoBody {
		x.body = x.newBody(x.r.Context())
	}
	if x.r.ProtoMajor == 1 {
		_ = x.control.EnableFullDuplex()
	}
	x.refuse(refusal)
}

// fail answers a failure with its status, if it is not too late for one.
func (x *gatewayExchange) fail(err error) (whole bool) {
	bodyErr := x.body.failure()
	if bodyErr == nil && x.body.isIdle() {
		bodyErr = errGatewayIdle // the read that it interrupts has not returned yet
	}
	if bodyErr != nil {
		err = bodyErr // the RoundTripper only tells what it was told
	}
	switch {
	case x.tooLong():
		bodyErr, err = nil, &Error{Cause: culvertv1.Cause_CAUSE_DEADLINE_EXCEEDED, Err: context.DeadlineExceeded}
	case x.w.stalled():
		err = stalledFor(x.gateway.config.stallTimeout)
	}
	// Net/http takes a read that this end has interrupted for the end of the client.
	interrupted := x.body.isIdle() || x.tooLong() || x.w.stalled()
	if x.record.Err = err; !interrupted {
		x.record.Err = x.clientGone(err)
	}
	switch {
	case x.wroteHead, x.r.Context().Err() != nil && !interrupted: // too late, or nobody is left to read it
		return false
	case bodyErr != nil:
		x.refuse(refusalOfBody(bodyErr))
	default:
		x.refuse(refusalOf(err))
	}
	return true
}

// clientGone makes a cancellation of what failed because the client went away. It
// may do so in the middle of its request, of which net/http's HTTP/1.1 learns by
// reading on alone.
func (x *gatewayExchange) clientGone(err error) error {
	var lost bool
	switch bodyErr := x.body.failure(); {
	case errors.Is(err, context.Canceled):
		return err
	case x.r.Context().Err() != nil:
		lost = errors.Is(x.r.Context().Err(), context.Canceled)
	case bodyErr != nil && x.r.ProtoMajor == 2: // whose errors have no names
		_, tooLarge := errors.AsType[*http.MaxBytesError](bodyErr)
		lost = !tooLarge
	case bodyErr != nil:
		lost = errors.Is(bodyErr, io.ErrUnexpectedEOF) || errors.Is(bodyErr, syscall.ECONNRESET)
	}
	if !lost {
		return err
	}
	return &Error{Cause: culvertv1.Cause_CAUSE_CANCELED, Err: err}
}

// release ends what the RoundTripper still does, and returns when no read of the
// request's body is left: from here on the body is net/http's again.
func (x *gatewayExchange) release() {
	if x.cancel != nil {
		x.cancel()
	}
	x.body.stop(x.control)
}

// observe reports the exchange to the observer.
func (x *gatewayExchange) observe() {
	observe := x.gateway.config.observe
	if observe == nil {
		return
	}
	record := x.record
	record.Peer = Peer{
		Addr:     x.r.RemoteAddr,
		TLS:      x.r.TLS,
		Protocol: x.r.Proto,
		Header:   x.r.Header,
		Identity: x.record.Peer.Identity,
	}
	record.Method, record.Authority, record.Path = x.r.Method, x.r.Host, x.r.RequestURI
	record.RequestBytes += x.body.bytes()
	record.Duration = time.Since(record.Start)
	observe(x.r.Context(), record)
}
