package culvert

import (
	"context"
	"errors"
	"syscall"

	"connectrpc.com/connect"

	culvertv1 "github.com/culvert-http/culvert/api/culvert/v1"
	"github.com/culvert-http/culvert/internal/bridge"
)

// clientError returns what an error of an RPC is to the caller of an exchange.
// The cause is what the server says it is. Errors that others made, on the way or
// here, have only a code [docs/protocol.md § 17].
func clientError(err error) *Error {
	if tunnelErr, ok := bridge.AsError(err); ok {
		return tunnelErr
	}
	var dialErr *clientDialError
	switch {
	case errors.Is(err, errNotProcessed):
		return &Error{Cause: culvertv1.Cause_CAUSE_DRAINING, NotStarted: true, Remote: true, Err: err}
	case errors.Is(err, ErrTransportClosed):
		return errTransportClosed()
	case errors.As(err, &dialErr):
		return &Error{Cause: culvertv1.Cause_CAUSE_UPSTREAM_UNREACHABLE, NotStarted: true, Err: err}
	}
	var rpcErr *connect.Error
	if !errors.As(err, &rpcErr) {
		return &Error{Err: err}
	}
	remote := connect.IsWireError(err)
	if reported, ok := detailOf(rpcErr); ok && remote {
		return &Error{Cause: reported.GetCause(), NotStarted: reported.GetNotStarted(), Remote: true, Err: rpcErr}
	}
	if !remote && connectionLost(err) {
		return &Error{Err: err}
	}
	return &Error{Cause: causeOfCode(rpcErr.Code(), remote), Remote: remote, Err: rpcErr}
}

// connectionLost reports whether the operating system ended a connection. Connect
// takes that for a client that went, which is what it means to a server.
func connectionLost(err error) bool {
	return (errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)) && !errors.Is(err, context.Canceled)
}

// causeOfCode names an error without a detail.
func causeOfCode(code connect.Code, remote bool) culvertv1.Cause {
	switch code { //nolint:exhaustive // the others say nothing
	case connect.CodeCanceled:
		return culvertv1.Cause_CAUSE_CANCELED
	case connect.CodeDeadlineExceeded:
		return culvertv1.Cause_CAUSE_DEADLINE_EXCEEDED
	case connect.CodeUnauthenticated:
		return culvertv1.Cause_CAUSE_UNAUTHENTICATED
	case connect.CodePermissionDenied:
		return culvertv1.Cause_CAUSE_PERMISSION_DENIED
	case connect.CodeResourceExhausted:
		if !remote { // a message over the bound that connect was given
			return culvertv1.Cause_CAUSE_RESPONSE_TOO_LARGE
		}
	}
	return culvertv1.Cause_CAUSE_UNSPECIFIED
}

func clientContextError(ctx context.Context) *Error {
	cause := culvertv1.Cause_CAUSE_CANCELED
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		cause = culvertv1.Cause_CAUSE_DEADLINE_EXCEEDED
	}
	return &Error{Cause: cause, Err: context.Cause(ctx)}
}
