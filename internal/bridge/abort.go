package bridge

import (
	"context"
	"net/http"

	culvertv1 "github.com/culvert-http/culvert/api/culvert/v1"
)

// failer is what an exchange leaves in the context of its request, so that the
// inner handler can say why it aborts.
type failer interface{ fail(*Error) }

type failerKey struct{}

// Abort ends the exchange of ctx with an error of the tunnel and does not
// return: it panics with http.ErrAbortHandler, which unwinds through middleware
// as any abort does. In a context that has no exchange it is an abort all the
// same. After a response head was written the exchange is cut short, whatever
// the cause.
func Abort(ctx context.Context, cause culvertv1.Cause, notStarted bool, err error) {
	Fail(ctx, cause, notStarted, err)
	panic(http.ErrAbortHandler)
}

// Fail is Abort for handlers that have something to do before they abort: it says
// why they will, and returns. The first reason counts.
func Fail(ctx context.Context, cause culvertv1.Cause, notStarted bool, err error) {
	if exchange, ok := ctx.Value(failerKey{}).(failer); ok {
		exchange.fail(&Error{Cause: cause, NotStarted: notStarted, Err: err})
	}
}
