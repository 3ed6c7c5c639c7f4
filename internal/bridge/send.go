package bridge

import (
	"context"
	"net/http"
	"os"

	culvertv1 "github.com/culvert-http/culvert/api/culvert/v1"
)

// send writes a frame. Frames come from the handler's goroutine, and from
// whoever reads the body first (100 Continue).
func (e *exchange) send(frame *culvertv1.ResponseFrame) error {
	return e.transmit(frame, nil, false)
}

// sendLast writes the last frame of a response, when the handler has returned.
func (e *exchange) sendLast(frame *culvertv1.ResponseFrame) error {
	return e.transmit(frame, nil, true)
}

// transmit sends a frame, from message if its data is in one that can be sent in
// place.
func (e *exchange) transmit(frame *culvertv1.ResponseFrame, message []byte, last bool) error {
	e.sendMu.Lock()
	defer e.sendMu.Unlock()
	if e.finished {
		return errAfterEnd
	}
	if e.sendErr != nil {
		return e.sendErr
	}
	e.sending.Store(true)
	err := e.expired() // after sending is set, so that expire interrupts what begins later
	if err == os.ErrDeadlineExceeded && e.conn != nil {
		e.sending.Store(false)
		return err // as of any connection: nothing was sent, and the deadline can be moved
	}
	if err == nil {
		err = e.pass(frame, message, last)
	}
	e.sending.Store(false)
	if err != nil {
		if e.writeDeadline.passed() {
			err = os.ErrDeadlineExceeded // which has interrupted it
		}
		e.sendErr = err
		return err
	}
	if head := frame.GetHead(); head != nil {
		e.sentStatus = int(head.GetStatus())
	}
	e.sentBytes += int64(len(frame.GetData()))
	e.idle.sent()
	return nil
}

func (e *exchange) pass(frame *culvertv1.ResponseFrame, message []byte, last bool) error {
	if message != nil {
		return e.stream.(BulkSender).SendInPlace(frame, message)
	}
	if sender, ok := e.stream.(LastSender); ok && last {
		return sender.SendLast(frame)
	}
	return e.stream.Send(frame)
}

// expired returns an error if the exchange's deadline has passed, or the one that
// the handler has set. Nothing of the response is sent then, for nobody might take
// it.
func (e *exchange) expired() error {
	if err := e.ctx.Err(); err == context.DeadlineExceeded {
		return err
	}
	if e.writeDeadline.passed() {
		return os.ErrDeadlineExceeded
	}
	return nil
}

// sendError is how an exchange ends of which something could not be sent.
func sendError(err error, started bool) *Error {
	switch {
	case err != os.ErrDeadlineExceeded: // which is the handler's own
		return receiveError(err)
	case started:
		return &Error{Cause: culvertv1.Cause_CAUSE_RESPONSE_TRUNCATED, Err: err}
	default:
		return &Error{Cause: culvertv1.Cause_CAUSE_HANDLER_FAILED, Err: err}
	}
}

// sendInformational sends an interim response. A failure shows at the next send.
func (e *exchange) sendInformational(status int, header http.Header) {
	if !e.request.ProtoAtLeast(1, 1) {
		return // [RFC 9110 § 15.2]
	}
	fields := encodeFields(interimHeader, header)
	_ = e.send(&culvertv1.ResponseFrame{
		Informational: []*culvertv1.InformationalHead{{Status: uint32(status), Headers: fields}},
	})
}

// sendFailure returns why nothing can be sent any more, nil if it can.
func (e *exchange) sendFailure() error {
	e.sendMu.Lock()
	defer e.sendMu.Unlock()
	return e.sendErr
}

// writable says why the handler may not write.
func (e *exchange) writable() error {
	if e.conn != nil {
		return http.ErrHijacked
	}
	return e.ctx.Err()
}

// sentAnything reports whether the client has heard of a response.
func (e *exchange) sentAnything() bool {
	e.sendMu.Lock()
	defer e.sendMu.Unlock()
	return e.sentStatus != 0
}
