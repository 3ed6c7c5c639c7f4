package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"

	culvertv1 "github.com/culvert-http/culvert/api/culvert/v1"

	"github.com/culvert-http/culvert"
)

// Exit statuses of call, which are curl's.
const (
	exitURL         = 3
	exitResolve     = 6
	exitConnect     = 7
	exitPartial     = 18
	exitHTTPError   = 22
	exitWrite       = 23
	exitRead        = 26
	exitTimeout     = 28
	exitTLS         = 35
	exitNothing     = 52
	exitSend        = 55
	exitReceive     = 56
	exitCertificate = 60
	exitTooLarge    = 63
	exitDenied      = 67
)

// callError is the end of a call that failed.
type callError struct {
	status int
	err    error
	quiet  bool
}

func (e *callError) Error() string { return fmt.Sprintf("(%d) %v", e.status, e.err) }
func (e *callError) Unwrap() error { return e.err }

// callFailure finds the exit status for whatever went wrong before the response.
func callFailure(err error) *callError {
	var (
		failure  *callError
		usageErr *usageError
		tunnel   *culvert.Error
	)
	switch {
	case errors.As(err, &failure):
		return failure
	case errors.As(err, &usageErr):
		return &callError{status: exitUsage, err: err}
	case errors.As(err, &tunnel):
		return &callError{status: statusOfTunnel(tunnel), err: err}
	default:
		return &callError{status: exitFailure, err: err}
	}
}

// causeStatuses are the exit statuses of what the other end says. All others are
// exitReceive.
var causeStatuses = map[culvertv1.Cause]int{
	culvertv1.Cause_CAUSE_REQUEST_HEAD_TOO_LARGE: exitSend,
	culvertv1.Cause_CAUSE_REQUEST_BODY_TOO_LARGE: exitSend,
	culvertv1.Cause_CAUSE_RESPONSE_TOO_LARGE:     exitTooLarge,
	culvertv1.Cause_CAUSE_DEADLINE_EXCEEDED:      exitTimeout,
	culvertv1.Cause_CAUSE_HANDLER_FAILED:         exitNothing,
	culvertv1.Cause_CAUSE_UPSTREAM_FAILED:        exitNothing,
	culvertv1.Cause_CAUSE_RESPONSE_TRUNCATED:     exitNothing,
	culvertv1.Cause_CAUSE_UPSTREAM_UNREACHABLE:   exitConnect,
	culvertv1.Cause_CAUSE_UNAUTHENTICATED:        exitDenied,
	culvertv1.Cause_CAUSE_PERMISSION_DENIED:      exitDenied,
}

func statusOfTunnel(err *culvert.Error) int {
	if !err.Remote {
		if status := localStatus(err); status != 0 {
			return status
		}
	}
	if status, ok := causeStatuses[err.Cause]; ok {
		return status
	}
	return exitReceive
}

// localStatus is the exit status of what happened at this end, 0 if the cause
// says all.
func localStatus(err *culvert.Error) int {
	var (
		dnsErr         *net.DNSError
		certificateErr *tls.CertificateVerificationError
		authorityErr   x509.UnknownAuthorityError
		hostnameErr    x509.HostnameError
		recordErr      tls.RecordHeaderError
		alertErr       tls.AlertError
		netErr         net.Error
	)
	switch {
	case errors.As(err, &dnsErr):
		return exitResolve
	case errors.As(err, &certificateErr), errors.As(err, &authorityErr), errors.As(err, &hostnameErr):
		return exitCertificate
	case errors.As(err, &recordErr), errors.As(err, &alertErr):
		return exitTLS
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &netErr) && netErr.Timeout():
		return exitTimeout
	case err.Cause == culvertv1.Cause_CAUSE_MALFORMED_REQUEST:
		return exitUsage
	default:
		return 0
	}
}

// bodyFailure is what went wrong in the middle of the response.
func bodyFailure(err error, received int64) *callError {
	if errors.Is(err, context.DeadlineExceeded) {
		return &callError{status: exitTimeout, err: fmt.Errorf("after %d bytes: %w", received, err)}
	}
	return &callError{status: exitPartial, err: fmt.Errorf("after %d bytes: %w", received, err)}
}
