package culvert

import (
	"errors"

	"connectrpc.com/connect"

	culvertv1 "github.com/culvert-http/culvert/api/culvert/v1"
	"github.com/culvert-http/culvert/internal/bridge"
)

// Error is a failure of the tunnel, as opposed to an HTTP status, which is a
// success of the tunnel whatever it is. Find it with errors.As.
type Error = bridge.Error

// causeCodes is the table of docs/protocol.md: which code the RPC ends with for
// each cause.
var causeCodes = map[culvertv1.Cause]connect.Code{
	culvertv1.Cause_CAUSE_UNSPECIFIED:            connect.CodeUnknown,
	culvertv1.Cause_CAUSE_MALFORMED_REQUEST:      connect.CodeInvalidArgument,
	culvertv1.Cause_CAUSE_REQUEST_HEAD_TOO_LARGE: connect.CodeResourceExhausted,
	culvertv1.Cause_CAUSE_REQUEST_BODY_TOO_LARGE: connect.CodeResourceExhausted,
	culvertv1.Cause_CAUSE_TOO_MANY_EXCHANGES:     connect.CodeResourceExhausted,
	culvertv1.Cause_CAUSE_RESPONSE_TOO_LARGE:     connect.CodeResourceExhausted,
	culvertv1.Cause_CAUSE_CANCELED:               connect.CodeCanceled,
	culvertv1.Cause_CAUSE_DEADLINE_EXCEEDED:      connect.CodeDeadlineExceeded,
	culvertv1.Cause_CAUSE_HANDLER_FAILED:         connect.CodeInternal,
	culvertv1.Cause_CAUSE_UPSTREAM_FAILED:        connect.CodeInternal,
	culvertv1.Cause_CAUSE_RESPONSE_TRUNCATED:     connect.CodeDataLoss,
	culvertv1.Cause_CAUSE_UPSTREAM_UNREACHABLE:   connect.CodeUnavailable,
	culvertv1.Cause_CAUSE_DRAINING:               connect.CodeUnavailable,
	culvertv1.Cause_CAUSE_LOOP:                   connect.CodeFailedPrecondition,
	culvertv1.Cause_CAUSE_UNAUTHENTICATED:        connect.CodeUnauthenticated,
	culvertv1.Cause_CAUSE_PERMISSION_DENIED:      connect.CodePermissionDenied,
	culvertv1.Cause_CAUSE_MALFORMED_RESPONSE:     connect.CodeInternal,
	culvertv1.Cause_CAUSE_HTTP2_REQUIRED:         connect.CodeUnimplemented,
	culvertv1.Cause_CAUSE_RATE_LIMITED:           connect.CodeResourceExhausted,
}

// toRPC returns the error that an RPC ends with, which carries the cause as its
// detail. Only text that is about the peer's own messages goes to the peer.
func toRPC(err *Error) *connect.Error {
	text := bridge.CauseName(err.Cause)
	if err.Public && err.Err != nil {
		text = err.Error()
	}
	code, ok := causeCodes[err.Cause]
	if !ok {
		code = connect.CodeUnknown
	}
	rpcErr := connect.NewError(code, &peerError{err: err, text: text})
	detail, detailErr := connect.NewErrorDetail(&culvertv1.TunnelError{Cause: err.Cause, NotStarted: err.NotStarted})
	if detailErr == nil {
		rpcErr.AddDetail(detail)
	}
	switch err.Cause { //nolint:exhaustive // the others do not pass with time
	case culvertv1.Cause_CAUSE_TOO_MANY_EXCHANGES, culvertv1.Cause_CAUSE_RATE_LIMITED:
		rpcErr.Meta().Set("Retry-After", retryAfter(err))
	}
	return rpcErr
}

// peerError is an [Error] with the text that its peer may see. Whoever gets the
// RPC's error on its way, connect or an interceptor, finds the Error in it.
type peerError struct {
	err  *Error
	text string
}

// Error implements error.
func (e *peerError) Error() string { return e.text }

// Unwrap returns the Error itself.
func (e *peerError) Unwrap() error { return e.err }

// detailOf finds the cause in the details of an RPC's error.
func detailOf(rpcErr *connect.Error) (*culvertv1.TunnelError, bool) {
	for _, detail := range rpcErr.Details() {
		message, err := detail.Value()
		if err != nil {
			continue
		}
		if tunnelErr, ok := message.(*culvertv1.TunnelError); ok {
			return tunnelErr, true
		}
	}
	return nil, false
}

// fromReceive names an error that connect makes while the server receives a
// message.
func fromReceive(err error) *Error {
	if tunnelErr, ok := bridge.AsError(err); ok {
		return tunnelErr
	}
	named := &Error{Cause: culvertv1.Cause_CAUSE_CANCELED, Err: err}
	var rpcErr *connect.Error
	if !errors.As(err, &rpcErr) {
		return named
	}
	switch rpcErr.Code() { //nolint:exhaustive // connect makes no others here
	case connect.CodeInvalidArgument, connect.CodeInternal, connect.CodeUnimplemented:
		named.Cause, named.Public = culvertv1.Cause_CAUSE_MALFORMED_REQUEST, true
		named.Err = errors.New(rpcErr.Message())
	case connect.CodeResourceExhausted:
		named.Cause, named.Public = culvertv1.Cause_CAUSE_REQUEST_BODY_TOO_LARGE, true
		named.Err = errors.New(rpcErr.Message())
	case connect.CodeDeadlineExceeded:
		named.Cause = culvertv1.Cause_CAUSE_DEADLINE_EXCEEDED
	}
	return named
}
