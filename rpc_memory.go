package culvert

import (
	"context"
	"net/http"
)

// rpcMemory is a call and what every call has around it, in one piece.
type rpcMemory struct {
	call    rpc
	stall   stallWriter
	control http.ResponseController
	context rpcContext
	body    rpcBody
	writer  rpcWriter
	stream  plainExchange
}

// rpcContext is the context of an RPC, with the call in it.
type rpcContext struct {
	context.Context //nolint:containedctx // this is one
	call            *rpc
}

// Value implements context.Context.
func (c *rpcContext) Value(key any) any {
	if key == (rpcKey{}) {
		return c.call
	}
	return c.Context.Value(key)
}
