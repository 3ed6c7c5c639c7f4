package main

import (
	"context"
	"errors"
	"net/http"

	"connectrpc.com/connect"
	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
)

var errClosing = connect.NewError(connect.CodeUnavailable, errors.New("the server stops"))

// newHealthHandler returns the handler of grpc.health.v1 and the pattern to mount
// it under. What it answers is grpc-go's own; connectrpc.com/grpchealth does the
// same without that dependency. When closing is done, watches end.
func newHealthHandler(closing context.Context, server *health.Server) (pattern string, handler http.Handler) {
	mux := http.NewServeMux()
	mux.Handle(healthpb.Health_Check_FullMethodName, connect.NewUnaryHandler(
		healthpb.Health_Check_FullMethodName, unary(server.Check)))
	mux.Handle(healthpb.Health_List_FullMethodName, connect.NewUnaryHandler(
		healthpb.Health_List_FullMethodName, unary(server.List)))
	mux.Handle(healthpb.Health_Watch_FullMethodName, connect.NewServerStreamHandler(
		healthpb.Health_Watch_FullMethodName,
		func(ctx context.Context, req *connect.Request[healthpb.HealthCheckRequest], stream *connect.ServerStream[healthpb.HealthCheckResponse]) error {
			ctx, cancel := context.WithCancel(ctx)
			defer cancel()
			defer context.AfterFunc(closing, cancel)()
			watch := &watchStream{ctx: ctx, stream: stream}
			err := fromStatus(server.Watch(req.Msg, watch))
			if closing.Err() == nil {
				return err
			}
			if watch.last == healthpb.HealthCheckResponse_SERVING {
				_ = watch.Send(&healthpb.HealthCheckResponse{Status: healthpb.HealthCheckResponse_NOT_SERVING})
			}
			return errClosing
		}))
	return "/" + healthpb.Health_ServiceDesc.ServiceName + "/", mux
}

// unary makes a method of connect of one of grpc-go.
func unary[Req, Res any](method func(context.Context, *Req) (*Res, error)) func(context.Context, *connect.Request[Req]) (*connect.Response[Res], error) {
	return func(ctx context.Context, req *connect.Request[Req]) (*connect.Response[Res], error) {
		res, err := method(ctx, req.Msg)
		if err != nil {
			return nil, fromStatus(err)
		}
		return connect.NewResponse(res), nil
	}
}

// fromStatus makes an error of connect of one of grpc-go; the codes are the same.
func fromStatus(err error) error {
	if err == nil {
		return nil
	}
	s := status.Convert(err)
	return connect.NewError(connect.Code(s.Code()), errors.New(s.Message()))
}

// watchStream is what [health.Server] needs of a stream of grpc-go, and no more.
type watchStream struct {
	grpc.ServerStream

	ctx    context.Context
	stream *connect.ServerStream[healthpb.HealthCheckResponse]
	last   healthpb.HealthCheckResponse_ServingStatus
}

func (w *watchStream) Context() context.Context { return w.ctx }

func (w *watchStream) Send(response *healthpb.HealthCheckResponse) error {
	w.last = response.GetStatus()
	return w.stream.Send(response)
}
