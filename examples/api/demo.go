package main

import (
	"context"
	"errors"
	"math"

	"connectrpc.com/connect"
	"google.golang.org/genproto/googleapis/rpc/errdetails"

	demov1 "github.com/culvert-http/culvert/examples/api/gen/demo/v1"
)

// demoService implements demov1connect.DemoServiceHandler. It is an API like any
// other of connect's: nothing in it knows of the tunnel.
type demoService struct{}

// Add implements demov1connect.DemoServiceHandler.
func (demoService) Add(_ context.Context, req *connect.Request[demov1.AddRequest]) (*connect.Response[demov1.AddResponse], error) {
	a, b := req.Msg.GetA(), req.Msg.GetB()
	if err := validateAdd(a, b); err != nil {
		return nil, err
	}
	sum := int64(a) + int64(b)
	if sum > math.MaxInt32 {
		return nil, connect.NewError(connect.CodeOutOfRange, errors.New("the sum of `a` and `b` is over 2147483647"))
	}
	return connect.NewResponse(&demov1.AddResponse{O: int32(sum)}), nil
}

// validateAdd says everything that is wrong with a request at once, for programs
// as well: by field, in a google.rpc.BadRequest. An API with more rules than these
// has them in its .proto file and leaves this to connectrpc.com/validate.
func validateAdd(a, b int32) error {
	var violations []*errdetails.BadRequest_FieldViolation
	violate := func(field, description string) {
		violations = append(violations, &errdetails.BadRequest_FieldViolation{Field: field, Description: description})
	}
	message := "`a` and `b` must be positive"
	switch {
	case a == 0 && b == 0:
		message = "`a` and/or `b` must be set"
		violate("a", "is 0, and so is b")
		violate("b", "is 0, and so is a")
	default:
		if a < 0 {
			violate("a", "is negative")
		}
		if b < 0 {
			violate("b", "is negative")
		}
	}
	if len(violations) == 0 {
		return nil
	}
	err := connect.NewError(connect.CodeInvalidArgument, errors.New(message))
	if detail, detailErr := connect.NewErrorDetail(&errdetails.BadRequest{FieldViolations: violations}); detailErr == nil {
		err.AddDetail(detail)
	}
	return err
}
