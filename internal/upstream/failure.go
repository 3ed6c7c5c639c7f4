package upstream

import (
	"context"
	"errors"
	"net/http"

	culvertv1 "github.com/culvert-http/culvert/api/culvert/v1"
	"github.com/culvert-http/culvert/internal/bridge"
)

var (
	errLoop          = errors.New("request came through this proxy before")
	errHeaderTimeout = errors.New("upstream did not answer in time")
)

// clientError is an error in writing to the client.
type clientError struct{ err error }

func (e *clientError) Error() string { return "write response: " + e.err.Error() }
func (e *clientError) Unwrap() error { return e.err }

// causeOf says what an exchange failed of, and whether the upstream saw nothing of
// it.
func causeOf(err error) (cause culvertv1.Cause, notStarted bool) {
	if tunnelErr, ok := bridge.AsError(err); ok {
		return tunnelErr.Cause, false
	}
	switch {
	case is[invalidRequestError](err):
		return culvertv1.Cause_CAUSE_MALFORMED_REQUEST, false
	case is[*http.MaxBytesError](err):
		return culvertv1.Cause_CAUSE_REQUEST_BODY_TOO_LARGE, false
	case errors.Is(err, errLoop):
		return culvertv1.Cause_CAUSE_LOOP, false
	case errors.Is(err, errHeaderTimeout):
		return culvertv1.Cause_CAUSE_DEADLINE_EXCEEDED, false
	case errors.Is(err, errHeadTooLarge), errors.Is(err, errInformational):
		return culvertv1.Cause_CAUSE_RESPONSE_TOO_LARGE, false
	case is[*dialError](err):
		return culvertv1.Cause_CAUSE_UPSTREAM_UNREACHABLE, true
	case errors.Is(err, context.Canceled), is[*clientError](err):
		return culvertv1.Cause_CAUSE_CANCELED, false
	case errors.Is(err, context.DeadlineExceeded):
		return culvertv1.Cause_CAUSE_DEADLINE_EXCEEDED, false
	case is[*bodyError](err):
		return culvertv1.Cause_CAUSE_MALFORMED_REQUEST, false
	default:
		return culvertv1.Cause_CAUSE_UPSTREAM_FAILED, false
	}
}

func is[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}
