package culvert

import (
	"context"

	culvertv1 "github.com/culvert-http/culvert/api/culvert/v1"
	"github.com/culvert-http/culvert/internal/bridge"
)

// Abort ends the exchange that ctx, the context of an inner handler's request,
// belongs to with an error of the tunnel instead of a response. It does not
// return: it panics with [net/http.ErrAbortHandler]. It is for proxies, which
// know causes that a status cannot tell. notStarted says that nothing outside
// saw anything of the exchange, so that the client may safely send it again; err
// is for the log and never goes to the peer. After the response's head was
// written the exchange is cut short, whatever the cause.
func Abort(ctx context.Context, cause culvertv1.Cause, notStarted bool, err error) {
	bridge.Abort(ctx, cause, notStarted, err)
}
