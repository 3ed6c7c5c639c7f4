package main

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"testing"

	culvertv1 "github.com/culvert-http/culvert/api/culvert/v1"

	"github.com/culvert-http/culvert"
)

func TestCallExitStatus(t *testing.T) {
	remote := func(cause culvertv1.Cause) error { return &culvert.Error{Cause: cause, Remote: true} }
	local := func(cause culvertv1.Cause, err error) error { return &culvert.Error{Cause: cause, Err: err} }
	const unreachable = culvertv1.Cause_CAUSE_UPSTREAM_UNREACHABLE
	for _, test := range []struct {
		err  error
		want int
	}{
		{remote(culvertv1.Cause_CAUSE_UNSPECIFIED), 56},
		{remote(culvertv1.Cause_CAUSE_MALFORMED_REQUEST), 56},
		{remote(culvertv1.Cause_CAUSE_REQUEST_HEAD_TOO_LARGE), 55},
		{remote(culvertv1.Cause_CAUSE_REQUEST_BODY_TOO_LARGE), 55},
		{remote(culvertv1.Cause_CAUSE_TOO_MANY_EXCHANGES), 56},
		{remote(culvertv1.Cause_CAUSE_RESPONSE_TOO_LARGE), 63},
		{remote(culvertv1.Cause_CAUSE_CANCELED), 56},
		{remote(culvertv1.Cause_CAUSE_DEADLINE_EXCEEDED), 28},
		{remote(culvertv1.Cause_CAUSE_HANDLER_FAILED), 52},
		{remote(culvertv1.Cause_CAUSE_UPSTREAM_FAILED), 52},
		{remote(culvertv1.Cause_CAUSE_RESPONSE_TRUNCATED), 52},
		{remote(unreachable), 7},
		{remote(culvertv1.Cause_CAUSE_DRAINING), 56},
		{remote(culvertv1.Cause_CAUSE_LOOP), 56},
		{remote(culvertv1.Cause_CAUSE_UNAUTHENTICATED), 67},
		{remote(culvertv1.Cause_CAUSE_PERMISSION_DENIED), 67},
		{remote(culvertv1.Cause_CAUSE_MALFORMED_RESPONSE), 56},
		{remote(culvertv1.Cause_CAUSE_HTTP2_REQUIRED), 56},
		{remote(culvertv1.Cause_CAUSE_RATE_LIMITED), 56},
		{local(unreachable, errors.New("refused")), 7},
		{local(unreachable, &net.DNSError{IsNotFound: true}), 6},
		{local(unreachable, &net.OpError{Op: "dial", Err: timeout{}}), 28},
		{local(unreachable, x509.UnknownAuthorityError{}), 60},
		{local(unreachable, x509.HostnameError{Certificate: &x509.Certificate{}}), 60},
		{local(culvertv1.Cause_CAUSE_MALFORMED_REQUEST, errors.New("invalid header")), 2},
		{local(culvertv1.Cause_CAUSE_UNSPECIFIED, fmt.Errorf("read request body: %w", &callError{status: exitRead, err: io.ErrUnexpectedEOF})), 26},
		{bodyFailure(io.ErrUnexpectedEOF, 5), 18},
		{bodyFailure(context.DeadlineExceeded, 5), 28},
		{&usageError{errors.New("what?")}, 2},
		{errors.New("something else"), 1},
	} {
		if got := callFailure(test.err).status; got != test.want {
			t.Errorf("%v: status %d, want %d", test.err, got, test.want)
		}
	}
}

// timeout is a net.Error of a dial that took too long.
type timeout struct{}

func (timeout) Error() string   { return "timeout" }
func (timeout) Timeout() bool   { return true }
func (timeout) Temporary() bool { return true }
