package bridge

import (
	"fmt"
	"io"

	culvertv1 "github.com/culvert-http/culvert/api/culvert/v1"
)

// clientFrames receives the frames of a response, and sees to it that they are
// in order.
type clientFrames struct {
	stream  ClientStream
	awaits  bool // the server may still say that it has accepted
	hasHead bool
	ended   bool
	frame   culvertv1.ResponseFrame // the last one
}

// next receives the next frame that has something in it. It returns an *Error.
func (f *clientFrames) next() error {
	for {
		err := f.stream.Receive(&f.frame)
		if err == io.EOF {
			return f.truncated()
		}
		if err != nil {
			return streamError(err)
		}
		if clientFrameEmpty(&f.frame) {
			continue
		}
		if problem := f.check(); problem != "" {
			return malformedResponse("%s", problem)
		}
		f.awaits = false
		f.hasHead = f.hasHead || f.frame.GetHead() != nil
		f.ended = f.frame.GetEnd()
		return nil
	}
}

// end receives what follows the end, which must be nothing.
func (f *clientFrames) end() *Error {
	for {
		err := f.stream.Receive(&f.frame)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return streamError(err)
		}
		if !clientFrameEmpty(&f.frame) {
			return malformedResponse("message after the end")
		}
	}
}

// check says what is wrong with the order of the parts.
func (f *clientFrames) check() string {
	frame := &f.frame
	body := len(frame.GetData()) > 0 || frame.GetEnd() || len(frame.GetTrailers()) > 0
	switch {
	case f.ended:
		return "message after the end"
	case frame.GetAccepted() && (!f.awaits || body || frame.GetHead() != nil || len(frame.GetInformational()) > 0):
		return "accepted is out of order"
	case f.hasHead && frame.GetHead() != nil:
		return "second head"
	case f.hasHead && len(frame.GetInformational()) > 0:
		return "interim response after the head"
	case !f.hasHead && frame.GetHead() == nil && body:
		return "body before the head"
	case len(frame.GetTrailers()) > 0 && !frame.GetEnd():
		return "trailers before the end"
	default:
		return ""
	}
}

func (f *clientFrames) truncated() *Error {
	if f.hasHead {
		return &Error{
			Cause: culvertv1.Cause_CAUSE_RESPONSE_TRUNCATED,
			Err:   fmt.Errorf("RPC ended before the response: %w", io.ErrUnexpectedEOF),
		}
	}
	return malformedResponse("RPC ended without a response: %w", io.ErrUnexpectedEOF)
}

func clientFrameEmpty(frame *culvertv1.ResponseFrame) bool {
	return frame.GetHead() == nil && len(frame.GetData()) == 0 && !frame.GetEnd() && !frame.GetAccepted() &&
		len(frame.GetInformational()) == 0 && len(frame.GetTrailers()) == 0
}

// streamError is what a stream's error is to the caller of the exchange.
func streamError(err error) *Error {
	if tunnelErr, ok := AsError(err); ok {
		return tunnelErr
	}
	return &Error{Cause: culvertv1.Cause_CAUSE_UNSPECIFIED, Err: err}
}

// malformedResponse is the error of a response that breaks the protocol or HTTP.
func malformedResponse(format string, args ...any) *Error {
	return &Error{Cause: culvertv1.Cause_CAUSE_MALFORMED_RESPONSE, Err: fmt.Errorf(format, args...)}
}

// cutShort is err as the error of a body of which a part has arrived already: to
// those who know nothing of tunnels it is an io.ErrUnexpectedEOF.
func cutShort(err *Error) *Error {
	if err.Is(io.ErrUnexpectedEOF) {
		return err
	}
	cut := *err
	if cut.Cause == culvertv1.Cause_CAUSE_UNSPECIFIED {
		cut.Cause = culvertv1.Cause_CAUSE_RESPONSE_TRUNCATED
	}
	cut.NotStarted = false
	cut.Err = io.ErrUnexpectedEOF
	if err.Err != nil {
		cut.Err = fmt.Errorf("%w: %w", io.ErrUnexpectedEOF, err.Err)
	}
	return &cut
}
