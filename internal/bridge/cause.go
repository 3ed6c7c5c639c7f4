package bridge

import culvertv1 "github.com/culvert-http/culvert/api/culvert/v1"

// causeNames are what errors and logs call the causes.
var causeNames = map[culvertv1.Cause]string{
	culvertv1.Cause_CAUSE_UNSPECIFIED:            "tunnel failed",
	culvertv1.Cause_CAUSE_MALFORMED_REQUEST:      "malformed request",
	culvertv1.Cause_CAUSE_REQUEST_HEAD_TOO_LARGE: "request head too large",
	culvertv1.Cause_CAUSE_REQUEST_BODY_TOO_LARGE: "request body too large",
	culvertv1.Cause_CAUSE_TOO_MANY_EXCHANGES:     "too many exchanges",
	culvertv1.Cause_CAUSE_RESPONSE_TOO_LARGE:     "response too large",
	culvertv1.Cause_CAUSE_CANCELED:               "canceled",
	culvertv1.Cause_CAUSE_DEADLINE_EXCEEDED:      "deadline exceeded",
	culvertv1.Cause_CAUSE_HANDLER_FAILED:         "handler failed",
	culvertv1.Cause_CAUSE_UPSTREAM_FAILED:        "upstream failed",
	culvertv1.Cause_CAUSE_RESPONSE_TRUNCATED:     "response truncated",
	culvertv1.Cause_CAUSE_UPSTREAM_UNREACHABLE:   "upstream unreachable",
	culvertv1.Cause_CAUSE_DRAINING:               "draining",
	culvertv1.Cause_CAUSE_LOOP:                   "loop",
	culvertv1.Cause_CAUSE_UNAUTHENTICATED:        "unauthenticated",
	culvertv1.Cause_CAUSE_PERMISSION_DENIED:      "permission denied",
	culvertv1.Cause_CAUSE_MALFORMED_RESPONSE:     "malformed response",
	culvertv1.Cause_CAUSE_HTTP2_REQUIRED:         "HTTP/2 required",
	culvertv1.Cause_CAUSE_RATE_LIMITED:           "rate limited",
}

// CauseName is what errors and logs call a cause.
func CauseName(cause culvertv1.Cause) string {
	if name, ok := causeNames[cause]; ok {
		return name
	}
	return causeNames[culvertv1.Cause_CAUSE_UNSPECIFIED]
}
