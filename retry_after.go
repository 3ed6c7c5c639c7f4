package culvert

import (
	"errors"
	"math"
	"strconv"
	"time"
)

// defaultRetryAfter is what a client is told where nobody knows when there will
// be room.
const defaultRetryAfter = time.Second

// retryAfterError is an error that knows when it is worth trying again.
type retryAfterError struct {
	error
	after time.Duration
}

// Unwrap returns the error itself.
func (e *retryAfterError) Unwrap() error { return e.error }

// retryAfter returns the value of Retry-After for a refusal [RFC 9110 § 10.2.3]:
// whole seconds, and never none, which would ask for a loop.
func retryAfter(err error) string {
	after := defaultRetryAfter
	if known, ok := errors.AsType[*retryAfterError](err); ok {
		after = known.after
	}
	return strconv.Itoa(max(1, int(math.Ceil(after.Seconds()))))
}
