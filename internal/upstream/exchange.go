package upstream

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync/atomic"
	"time"

	culvertv1 "github.com/culvert-http/culvert/api/culvert/v1"
	"github.com/culvert-http/culvert/internal/bridge"
)

// errExchangeEnded ends what an exchange has left behind when it is over.
var errExchangeEnded = errors.New("exchange has ended")

// exchange is one request on its way to the upstream, and its response back.
type exchange struct {
	proxy  *Proxy
	r      *http.Request
	writer *responseWriter

	ctx    context.Context // of the request; done with errHeaderTimeout as well
	cancel context.CancelCauseFunc
	body   *requestBody // nil if the request has none
	timer  atomic.Pointer[time.Timer]
}

func newExchange(p *Proxy, w http.ResponseWriter, r *http.Request) *exchange {
	controller := http.NewResponseController(w)
	x := &exchange{
		proxy:  p,
		r:      r,
		writer: &responseWriter{w: w, controller: controller},
	}
	x.ctx, x.cancel = context.WithCancelCause(r.Context())
	if r.Body == nil || r.Body == http.NoBody || r.ContentLength == 0 {
		return x
	}
	if r.ProtoMajor == 1 {
		_ = controller.EnableFullDuplex() // behind the tunnel it is so anyway
	}
	left := r.ContentLength
	if len(r.Trailer) > 0 {
		left = -1 // they are there only after the end
	}
	x.body = newRequestBody(r.Body, controller, left)
	return x
}

// run forwards the request and the response. When it returns, nothing of the
// exchange is left.
func (x *exchange) run() (err error) {
	var response *http.Response
	release := context.AfterFunc(x.r.Context(), x.interrupt)
	defer func() {
		release()
		x.end(response, err)
	}()
	if response, err = x.send(); err == nil {
		err = x.receive(response)
	}
	return x.explain(err)
}

// end waits for what uses the client's request and response, and gives the
// upstream's connection back or closes it.
func (x *exchange) end(response *http.Response, err error) {
	if err != nil {
		x.writer.hurry()
		x.cancel(errExchangeEnded)
		x.writer.flush() // the client sees what there was before the cut
	}
	if x.body != nil {
		x.body.stop()
	}
	if response != nil {
		_ = response.Body.Close()
	}
	x.cancel(errExchangeEnded)
	x.stopTimer()
	x.writer.finish()
}

// send forwards the request and returns the head of the final response. The body
// of the request may still be on its way.
func (x *exchange) send() (*http.Response, error) {
	out, err := newOutgoing(x.proxy, x.r)
	if err != nil {
		return nil, err
	}
	x.attach(out)
	client, err := x.proxy.choose(x.ctx, out.upgrade != "")
	if err != nil {
		return nil, err
	}
	response, err := client.roundTrip(out)
	x.stopTimer()
	return response, err
}

// receive forwards the response.
func (x *exchange) receive(response *http.Response) error {
	if response.StatusCode == http.StatusSwitchingProtocols {
		return x.switchProtocols(response)
	}
	return x.respond(response)
}

// attach gives the request what belongs to the exchange: its context, its body,
// and the way of interim responses back.
func (x *exchange) attach(out *outgoing) {
	out.ctx = x.ctx
	out.informational = func(status int, header http.Header) error {
		if wrong := validateFields(header); wrong != "" {
			return errors.New("read interim response: " + wrong)
		}
		if x.r.ProtoAtLeast(1, 1) {
			x.writer.informational(status, header)
		}
		return nil
	}
	out.sent = x.startTimer
	if x.body == nil {
		return
	}
	out.body = x.body
	x.body.onEnd = func() {
		out.fillTrailer(x.r.Trailer)
		x.startTimer()
	}
}

// interrupt releases whoever waits for the client.
func (x *exchange) interrupt() {
	if x.body != nil {
		x.body.interrupt()
	}
	x.writer.hurry()
}

// startTimer starts the time that the upstream has for the head of its response.
func (x *exchange) startTimer() {
	timeout := x.proxy.options.ResponseHeaderTimeout
	if timeout == 0 || x.writer.wroteHead.Load() {
		return
	}
	earlier := x.timer.Swap(time.AfterFunc(timeout, func() {
		if !x.writer.wroteHead.Load() {
			x.cancel(errHeaderTimeout)
		}
	}))
	if earlier != nil {
		earlier.Stop() // of a connection that turned out to be of no use
	}
}

func (x *exchange) stopTimer() {
	if timer := x.timer.Load(); timer != nil {
		timer.Stop()
	}
}

// explain finds the reason behind an error: what the client did comes first, since
// it makes the upstream fail too.
func (x *exchange) explain(err error) error {
	if err == nil {
		return nil
	}
	if ctx := x.r.Context(); ctx.Err() != nil {
		return errors.Join(context.Cause(ctx), ctx.Err())
	}
	if cause := context.Cause(x.ctx); cause != nil {
		return cause
	}
	if x.body != nil && x.body.err() != nil {
		return x.body.err()
	}
	return err
}

// abort ends the exchange with the cause that err stands for. It panics.
func (x *exchange) abort(err error) {
	x.fail(err)
	panic(http.ErrAbortHandler)
}

// fail says why the exchange is going to be aborted.
func (x *exchange) fail(err error) {
	cause, notStarted := causeOf(err)
	if x.writer.wroteHead.Load() && cause == culvertv1.Cause_CAUSE_UPSTREAM_FAILED {
		cause = culvertv1.Cause_CAUSE_RESPONSE_TRUNCATED
	}
	bridge.Fail(x.r.Context(), cause, notStarted, err)
}

// respond writes the response to the client as it comes.
func (x *exchange) respond(response *http.Response) error {
	wasAnnounced := make(map[string]bool, len(response.Trailer))
	for name := range response.Trailer {
		wasAnnounced[name] = forwardableTrailer(name)
	}
	if len(response.Trailer) > 0 && x.r.ProtoMajor == 1 && x.r.Method != http.MethodHead {
		// Only HTTP/2 can have both, and HTTP/1.1 has trailers in chunks alone.
		delete(response.Header, "Content-Length")
	}
	x.writer.head(response.StatusCode, response.Header, announced(response.Trailer))
	var err error
	if hasBody(x.r.Method, response.StatusCode) {
		err = x.copyBody(response.Body)
	} else {
		err = awaitEnd(response)
	}
	if err != nil {
		return err
	}
	if wrong := validateFields(response.Trailer); wrong != "" {
		return errors.New("read trailer: " + wrong)
	}
	x.writer.trailers(response.Trailer, wasAnnounced)
	return nil
}

// hasBody reports whether a response has a body, whatever its fields say [RFC 9112
// § 6.3].
func hasBody(method string, status int) bool {
	return method != http.MethodHead && status != http.StatusNoContent && status != http.StatusNotModified
}

// awaitEnd reads a body that must be empty. In HTTP/2 a trailer section may follow
// even so; but where there is a length, which is that of another response's body,
// net/http ends with an error.
func awaitEnd(response *http.Response) error {
	if response.ContentLength > 0 {
		return nil
	}
	switch n, err := io.ReadFull(response.Body, make([]byte, 1)); {
	case n > 0:
		return errors.New("read response: body where there is none")
	case err != io.EOF:
		return err
	default:
		return nil
	}
}

func (x *exchange) copyBody(body io.Reader) error {
	buffer := getBuffer()
	defer putBuffer(buffer)
	for {
		n, err := body.Read(*buffer)
		if n > 0 {
			if _, err := x.writer.Write((*buffer)[:n]); err != nil {
				return &clientError{err: err}
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}
