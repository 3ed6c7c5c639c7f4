package culvert

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"syscall"

	culvertv1 "github.com/culvert-http/culvert/api/culvert/v1"
	"github.com/culvert-http/culvert/internal/bridge"
)

// gatewayStatus is how a gateway answers a failure before a head was written: a
// status, and the error type of RFC 9209 § 2.3 for Proxy-Status.
type gatewayStatus struct {
	code       int
	proxyError string
}

// gatewayStatuses is the gateway's column of the table of causes. A cause that is
// not in it is answered like CAUSE_UNSPECIFIED.
var gatewayStatuses = map[culvertv1.Cause]gatewayStatus{
	culvertv1.Cause_CAUSE_UNSPECIFIED:            {http.StatusBadGateway, "proxy_internal_error"},
	culvertv1.Cause_CAUSE_MALFORMED_REQUEST:      {http.StatusBadGateway, "http_protocol_error"},
	culvertv1.Cause_CAUSE_REQUEST_HEAD_TOO_LARGE: {http.StatusRequestHeaderFieldsTooLarge, "http_request_error"},
	culvertv1.Cause_CAUSE_REQUEST_BODY_TOO_LARGE: {http.StatusRequestEntityTooLarge, "http_request_error"},
	culvertv1.Cause_CAUSE_TOO_MANY_EXCHANGES:     {http.StatusServiceUnavailable, "connection_limit_reached"},
	culvertv1.Cause_CAUSE_RESPONSE_TOO_LARGE:     {http.StatusBadGateway, "http_response_body_size"},
	culvertv1.Cause_CAUSE_CANCELED:               {http.StatusBadGateway, "connection_terminated"},
	culvertv1.Cause_CAUSE_DEADLINE_EXCEEDED:      {http.StatusGatewayTimeout, "http_response_timeout"},
	culvertv1.Cause_CAUSE_HANDLER_FAILED:         {http.StatusBadGateway, "http_response_incomplete"},
	culvertv1.Cause_CAUSE_UPSTREAM_FAILED:        {http.StatusBadGateway, "http_response_incomplete"},
	culvertv1.Cause_CAUSE_RESPONSE_TRUNCATED:     {http.StatusBadGateway, "http_response_incomplete"},
	culvertv1.Cause_CAUSE_UPSTREAM_UNREACHABLE:   {http.StatusBadGateway, "destination_unavailable"},
	culvertv1.Cause_CAUSE_DRAINING:               {http.StatusServiceUnavailable, "destination_unavailable"},
	culvertv1.Cause_CAUSE_LOOP:                   {http.StatusLoopDetected, "proxy_loop_detected"},
	culvertv1.Cause_CAUSE_UNAUTHENTICATED:        {http.StatusBadGateway, "http_request_denied"},
	culvertv1.Cause_CAUSE_PERMISSION_DENIED:      {http.StatusBadGateway, "http_request_denied"},
	culvertv1.Cause_CAUSE_MALFORMED_RESPONSE:     {http.StatusBadGateway, "http_protocol_error"},
	culvertv1.Cause_CAUSE_HTTP2_REQUIRED:         {http.StatusBadGateway, "proxy_configuration_error"},
	culvertv1.Cause_CAUSE_RATE_LIMITED:           {http.StatusTooManyRequests, "connection_limit_reached"},
}

// gatewayRefusal is an answer of the gateway's own. Its text goes to the client,
// and so tells nothing of what is behind the gateway.
type gatewayRefusal struct {
	gatewayStatus
	text string
	// retryAfter is the value of the field of that name, "" for none.
	retryAfter string
	// closes says that another request on the connection would fare no better.
	closes bool
}

var (
	refusedConnect = &gatewayRefusal{
		gatewayStatus: gatewayStatus{http.StatusNotImplemented, "http_request_error"},
		text:          "CONNECT is not supported",
	}
	refusedTarget = &gatewayRefusal{
		gatewayStatus: gatewayStatus{http.StatusBadRequest, "http_request_error"},
		text:          "the request target is not valid",
	}
	refusedMethod = &gatewayRefusal{
		gatewayStatus: gatewayStatus{http.StatusBadRequest, "http_request_error"},
		text:          "the method is not valid",
	}
	refusedLength = &gatewayRefusal{
		gatewayStatus: gatewayStatus{http.StatusBadRequest, "http_request_error"},
		text:          "Content-Length is not that of the body",
	}
	refusedLoop = &gatewayRefusal{
		gatewayStatus: gatewayStatus{http.StatusLoopDetected, "proxy_loop_detected"},
		text:          "the request came by here before",
	}
	refusedHops = &gatewayRefusal{
		gatewayStatus: gatewayStatus{http.StatusLoopDetected, "proxy_loop_detected"},
		text:          "the request has passed too many gateways",
	}
	refusedDraining = &gatewayRefusal{
		gatewayStatus: gatewayStatus{http.StatusServiceUnavailable, "proxy_internal_response"},
		text:          "the gateway is shutting down",
		retryAfter:    "1",
		closes:        true,
	}
)

// refusalOfAdmission is the answer to a request that may not begin.
func refusalOfAdmission(err *Error) *gatewayRefusal {
	refusal := &gatewayRefusal{gatewayStatus: gatewayStatuses[err.Cause], text: "too many requests at once", retryAfter: retryAfter(err)}
	switch err.Cause { //nolint:exhaustive // an admission knows no others
	case culvertv1.Cause_CAUSE_DRAINING:
		return refusedDraining
	case culvertv1.Cause_CAUSE_RATE_LIMITED:
		refusal.text = "too many requests in a short time"
	}
	return refusal
}

// refusalOf is the answer to a failure of the RoundTripper.
func refusalOf(err error) *gatewayRefusal {
	tunnelErr, ok := bridge.AsError(err)
	if !ok {
		tunnelErr = &bridge.Error{Cause: causeOfTransport(err)}
	}
	status, ok := gatewayStatuses[tunnelErr.Cause]
	if !ok {
		status = gatewayStatuses[culvertv1.Cause_CAUSE_UNSPECIFIED]
	}
	if precise := networkError(err); precise != "" && !tunnelErr.Remote && status.code >= 500 {
		status.proxyError = precise
	}
	refusal := &gatewayRefusal{gatewayStatus: status, text: bridge.CauseName(tunnelErr.Cause)}
	if status.code == http.StatusServiceUnavailable || status.code == http.StatusTooManyRequests {
		refusal.retryAfter = retryAfter(err)
	}
	return refusal
}

// causeOfTransport names the failure of a RoundTripper that does not know causes.
func causeOfTransport(err error) culvertv1.Cause {
	var netErr net.Error
	switch {
	case errors.As(err, &netErr) && netErr.Timeout(), errors.Is(err, context.DeadlineExceeded):
		return culvertv1.Cause_CAUSE_DEADLINE_EXCEEDED
	case errors.Is(err, context.Canceled):
		return culvertv1.Cause_CAUSE_CANCELED
	case isDialError(err):
		return culvertv1.Cause_CAUSE_UPSTREAM_UNREACHABLE
	default:
		return culvertv1.Cause_CAUSE_UPSTREAM_FAILED
	}
}

func isDialError(err error) bool {
	var opErr *net.OpError
	return errors.As(err, &opErr) && opErr.Op == "dial"
}

// networkError is the error type of RFC 9209 for what the network or TLS says, ""
// if they say nothing.
func networkError(err error) string {
	var (
		dnsErr         *net.DNSError
		certificateErr *tls.CertificateVerificationError
		authorityErr   x509.UnknownAuthorityError
		hostnameErr    x509.HostnameError
		recordErr      tls.RecordHeaderError
		alertErr       tls.AlertError
	)
	switch {
	case errors.As(err, &dnsErr):
		return "dns_error"
	case errors.As(err, &certificateErr), errors.As(err, &authorityErr), errors.As(err, &hostnameErr):
		return "tls_certificate_error"
	case errors.As(err, &alertErr):
		return "tls_alert_received"
	case errors.As(err, &recordErr):
		return "tls_protocol_error"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "connection_refused"
	case isDialError(err) && errors.Is(err, os.ErrDeadlineExceeded):
		return "connection_timeout"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE), errors.Is(err, io.EOF):
		return "connection_terminated"
	default:
		return ""
	}
}

// refusalOfBody is the answer where the client's own body could not be read.
func refusalOfBody(err error) *gatewayRefusal {
	status := gatewayStatus{http.StatusBadRequest, "http_request_error"}
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok { // of a handler around the gateway
		status.code = http.StatusRequestEntityTooLarge
	}
	refusal := &gatewayRefusal{gatewayStatus: status, text: "the request's body cannot be read"}
	if errors.Is(err, errGatewayIdle) {
		refusal.code, refusal.text = http.StatusRequestTimeout, errGatewayIdle.Error()
	}
	return refusal
}

// refuse answers with a status of the gateway's own and a line of text.
func (x *gatewayExchange) refuse(refusal *gatewayRefusal) {
	x.mu.Lock()
	defer x.mu.Unlock()
	body := strconv.Itoa(refusal.code) + " " + http.StatusText(refusal.code) + ": " + refusal.text + "\n"
	header := x.w.Header()
	header.Set("Content-Type", "text/plain; charset=utf-8")
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Content-Length", strconv.Itoa(len(body)))
	header.Set("Proxy-Status", pseudonym+"; error="+refusal.proxyError+"; details="+quoted(refusal.text))
	if refusal.retryAfter != "" {
		header.Set("Retry-After", refusal.retryAfter)
	}
	if refusal.closes {
		header.Set("Connection", "close") // on HTTP/2 net/http makes it a GOAWAY
	}
	x.wroteHead, x.refused = true, true
	x.length = int64(len(body))
	x.record.Status = refusal.code
	x.w.WriteHeader(refusal.code)
	if n, err := io.WriteString(x.w, body); err == nil {
		x.record.ResponseBytes = int64(n)
	}
}
