package bridge

import (
	"io"

	culvertv1 "github.com/culvert-http/culvert/api/culvert/v1"
)

// requestFrames reads the frames of a request and enforces their order: head
// first and once, data after it, nothing after the end.
type requestFrames struct {
	stream  ServerStream
	maxData int
	frame   culvertv1.RequestFrame // the last one, used again
	begun   bool
	ended   bool
}

// next returns the next frame that has something in it. The frame is valid until
// the next call. A half-close before the end is a truncation; after the end it
// is io.EOF, wrapped in no error at all: the frame is nil.
func (f *requestFrames) next() (*culvertv1.RequestFrame, *Error) {
	for {
		if frame, again, err := f.receive(); !again {
			return frame, err
		}
	}
}

// receive is next for one frame, after which it has to be called again if there
// was nothing in it.
func (f *requestFrames) receive() (frame *culvertv1.RequestFrame, again bool, err *Error) {
	switch err := f.stream.Receive(&f.frame); {
	case err == nil:
	case err == io.EOF && f.ended:
		return nil, false, nil
	case err == io.EOF:
		return nil, false, f.truncated()
	default:
		return nil, false, receiveError(err)
	}
	if isEmpty(&f.frame) {
		return nil, true, nil
	}
	if err := f.check(); err != nil {
		return nil, false, err
	}
	return &f.frame, false, nil
}

func isEmpty(frame *culvertv1.RequestFrame) bool {
	return frame.GetHead() == nil && len(frame.GetData()) == 0 && !frame.GetEnd() && len(frame.GetTrailers()) == 0
}

func (f *requestFrames) check() *Error {
	frame := &f.frame
	switch {
	case f.ended:
		return malformed("a message after the end")
	case frame.GetHead() == nil && !f.begun:
		return malformed("the first message has no head")
	case frame.GetHead() != nil && f.begun:
		return malformed("a second head")
	case len(frame.GetTrailers()) > 0 && !frame.GetEnd():
		return malformed("trailers before the end")
	case len(frame.GetData()) > f.maxData:
		return overLimit(culvertv1.Cause_CAUSE_REQUEST_BODY_TOO_LARGE,
			"%d bytes of data in one message are over the limit of %d", len(frame.GetData()), f.maxData)
	}
	f.begun = true
	f.ended = frame.GetEnd()
	return nil
}

// truncated is the error of a request that stops before its end.
func (f *requestFrames) truncated() *Error {
	err := malformed("half-closed before the end: %w", io.ErrUnexpectedEOF)
	if !f.begun {
		err = malformed("half-closed without a message")
	}
	return err
}

// receiveError is the error of a stream that failed.
func receiveError(err error) *Error {
	if tunnelErr, ok := AsError(err); ok {
		return tunnelErr
	}
	return &Error{Cause: culvertv1.Cause_CAUSE_CANCELED, Err: err}
}
