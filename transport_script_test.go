package culvert_test

import (
	"context"
	"errors"
	"net/http"
	"testing"

	"connectrpc.com/connect"

	"github.com/culvert-http/culvert"
	culvertv1 "github.com/culvert-http/culvert/api/culvert/v1"
	"github.com/culvert-http/culvert/api/culvert/v1/culvertv1connect"
)

type (
	requestFrame  = culvertv1.RequestFrame
	responseFrame = culvertv1.ResponseFrame
	exchangeRPC   = connect.BidiStream[requestFrame, responseFrame]
)

// script is a server that does what a test says, right or wrong.
type script struct {
	culvertv1connect.UnimplementedHTTPServiceHandler
	exchange func(context.Context, *exchangeRPC) error
}

func (s *script) Exchange(ctx context.Context, stream *exchangeRPC) error {
	return s.exchange(ctx, stream)
}

// newScript returns a transport to a server that follows a script.
func newScript(tb testing.TB, exchange func(context.Context, *exchangeRPC) error, opts ...culvert.TransportOption) *rig {
	tb.Helper()
	mux := http.NewServeMux()
	mux.Handle(culvertv1connect.NewHTTPServiceHandler(&script{exchange: exchange}))
	r := &rig{server: serveRig(tb, mux, true)}
	r.transport = newRigTransport(tb, r.server.URL, opts...)
	return r
}

// answer is a script that reads the whole request and sends frames, and an error
// in the end.
func answer(err error, frames ...*responseFrame) func(context.Context, *exchangeRPC) error {
	return func(_ context.Context, stream *exchangeRPC) error {
		for end := false; !end; {
			frame, err := stream.Receive()
			if err != nil {
				return err
			}
			end = frame.GetEnd() || frame.GetHead().GetUpgrade() != ""
		}
		for _, frame := range frames {
			if err := stream.Send(frame); err != nil {
				return err
			}
		}
		return err
	}
}

// tunnelError is an RPC error of the tunnel's making.
func tunnelError(code connect.Code, cause culvertv1.Cause, notStarted bool) error {
	err := connect.NewError(code, errors.New("told so"))
	detail, detailErr := connect.NewErrorDetail(&culvertv1.TunnelError{Cause: cause, NotStarted: notStarted})
	if detailErr != nil {
		return detailErr
	}
	err.AddDetail(detail)
	return err
}

func responseHead(status uint32, fields ...string) *culvertv1.ResponseHead {
	head := &culvertv1.ResponseHead{Status: status}
	for i := 0; i < len(fields); i += 2 {
		head.Headers = append(head.Headers, &culvertv1.Field{Name: fields[i], Value: fields[i+1]})
	}
	return head
}
