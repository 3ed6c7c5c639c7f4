package server

import (
	"errors"
	"net/http"

	"connectrpc.com/connect"

	culvertv1 "github.com/culvert-http/culvert/api/culvert/v1"
)

var (
	errTooManyConns  = errors.New("too many connections")
	errTooManyResets = errors.New("too many requests were taken back")
)

// checkConn refuses the requests of connections over the bound.
func checkConn(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if refused, _ := r.Context().Value(refusedKey{}).(bool); refused {
			refuse(w, r, errTooManyConns)
			return
		}
		next.ServeHTTP(w, r)
	})
}

var rpcErrors = connect.NewErrorWriter()

// refuse answers a request in its own protocol, and has its connection closed.
func refuse(w http.ResponseWriter, r *http.Request, why error) {
	w.Header().Set("Connection", "close") // on HTTP/2 net/http makes it a GOAWAY
	if r.Method == http.MethodPost && rpcErrors.IsSupported(r) {
		_ = rpcErrors.Write(w, r, newRefusal(why))
		return
	}
	w.Header().Set("Retry-After", "1")
	writeLine(w, http.StatusServiceUnavailable, "503 Service Unavailable: "+why.Error()+"\n")
}

// newRefusal returns the error that the tunnel gives for too many exchanges.
func newRefusal(why error) *connect.Error {
	err := connect.NewError(connect.CodeResourceExhausted, why)
	err.Meta().Set("Retry-After", "1")
	cause := &culvertv1.TunnelError{
		Cause: culvertv1.Cause_CAUSE_TOO_MANY_EXCHANGES,
		// Another connection will do. Where there are too many, it would not.
		NotStarted: errors.Is(why, errTooManyResets),
	}
	if detail, detailErr := connect.NewErrorDetail(cause); detailErr == nil {
		err.AddDetail(detail)
	}
	return err
}
