package bridge

import (
	"errors"
	"testing"

	culvertv1 "github.com/culvert-http/culvert/api/culvert/v1"
)

// TestErrorText checks that an error says once what went wrong, also where the peer
// has said it.
func TestErrorText(t *testing.T) {
	t.Parallel()
	const truncated = culvertv1.Cause_CAUSE_RESPONSE_TRUNCATED
	for text, err := range map[string]*Error{
		"response truncated":                           {Cause: truncated},
		"response truncated: connection reset":         {Cause: truncated, Err: errors.New("connection reset")},
		"malformed request: no path":                   {Cause: culvertv1.Cause_CAUSE_MALFORMED_REQUEST, Remote: true, Err: errors.New("invalid_argument: malformed request: no path")},
		"unauthenticated: permission_denied: who?":     {Cause: culvertv1.Cause_CAUSE_UNAUTHENTICATED, Remote: true, Err: errors.New("permission_denied: who?")},
		"response truncated: response truncated early": {Cause: truncated, Remote: true, Err: errors.New("response truncated early")},
	} {
		if got := err.Error(); got != text {
			t.Errorf("%q, want %q", got, text)
		}
	}
	for _, text := range []string{"response truncated", "data_loss: response truncated"} {
		err := &Error{Cause: truncated, Remote: true, Err: errors.New(text)}
		if got := err.Error(); got != "response truncated" {
			t.Errorf("%q of a peer's %q", got, text)
		}
	}
}
