package bridge

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	culvertv1 "github.com/culvert-http/culvert/api/culvert/v1"
)

// Error is a failure of the tunnel, as opposed to an HTTP status, which is a
// success of the tunnel whatever it is.
type Error struct {
	// Cause says what went wrong. The RPC's code and a gateway's status follow
	// from it.
	Cause culvertv1.Cause
	// NotStarted says that neither the inner handler nor an upstream saw anything
	// of the exchange, so that it is safe to send it again.
	NotStarted bool
	// Remote says that the other end of the tunnel reported the error.
	Remote bool
	// Err is what is known locally. Its text goes to the peer only where this end
	// wrote it (see Public).
	Err error
	// Public says that the text of Err is about the peer's own messages, and may
	// be sent to it.
	Public bool
}

// Error implements error.
func (e *Error) Error() string {
	name := CauseName(e.Cause)
	if e.Err == nil {
		return name
	}
	text := e.Err.Error()
	if e.Remote {
		// The peer names the cause too, after the RPC's code.
		if _, detail, ok := strings.Cut(text, name); ok && (detail == "" || strings.HasPrefix(detail, ": ")) {
			return name + detail
		}
	}
	return name + ": " + text
}

// Unwrap returns what is known locally.
func (e *Error) Unwrap() error { return e.Err }

// Is reports a truncation as an io.ErrUnexpectedEOF, a cancellation as a
// context.Canceled and a deadline as a context.DeadlineExceeded, so that callers
// of net/http need to know nothing of tunnels.
func (e *Error) Is(target error) bool {
	switch e.Cause {
	case culvertv1.Cause_CAUSE_RESPONSE_TRUNCATED:
		return target == io.ErrUnexpectedEOF
	case culvertv1.Cause_CAUSE_CANCELED:
		return target == context.Canceled
	case culvertv1.Cause_CAUSE_DEADLINE_EXCEEDED:
		return target == context.DeadlineExceeded
	default:
		return false
	}
}

// Timeout reports whether a deadline passed, that of a connection to the server
// too, as net.Error has it.
func (e *Error) Timeout() bool {
	if e.Cause == culvertv1.Cause_CAUSE_DEADLINE_EXCEEDED {
		return true
	}
	timeout, ok := errors.AsType[interface {
		error
		Timeout() bool
	}](e.Err)
	return ok && timeout.Timeout()
}

// Temporary is what makes a [net.Error] of it, as which callers of net/http ask
// for timeouts. It says what Timeout does, as a context.DeadlineExceeded does.
func (e *Error) Temporary() bool { return e.Timeout() }

// AsError finds the *Error in err's tree.
func AsError(err error) (*Error, bool) {
	var tunnelErr *Error
	ok := errors.As(err, &tunnelErr)
	return tunnelErr, ok
}

// malformed is the error of a request that breaks the protocol or HTTP. Its text
// is about what the peer sent, and goes back to it.
func malformed(format string, args ...any) *Error {
	return &Error{
		Cause:  culvertv1.Cause_CAUSE_MALFORMED_REQUEST,
		Err:    fmt.Errorf(format, args...),
		Public: true,
	}
}

// overLimit is the error of something of the peer's that is over a limit.
func overLimit(cause culvertv1.Cause, format string, args ...any) *Error {
	return &Error{Cause: cause, Err: fmt.Errorf(format, args...), Public: true}
}
