package culvert_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"connectrpc.com/connect"

	"github.com/culvert-http/culvert"
	culvertv1 "github.com/culvert-http/culvert/api/culvert/v1"
)

const (
	malformedResponse = culvertv1.Cause_CAUSE_MALFORMED_RESPONSE
	responseTruncated = culvertv1.Cause_CAUSE_RESPONSE_TRUNCATED
	responseTooLarge  = culvertv1.Cause_CAUSE_RESPONSE_TOO_LARGE
)

// These break docs/protocol.md, sections 3 to 11.
var malformedResponses = []struct {
	name   string
	frames []*responseFrame
	err    error
	method string
	cause  culvertv1.Cause
	whole  bool // the error comes in place of the response
}{
	{name: "nothing", cause: malformedResponse, whole: true},
	{name: "empty frames", frames: []*responseFrame{{}, {}}, cause: malformedResponse, whole: true},
	{name: "no end", frames: []*responseFrame{{Head: responseHead(200), Data: []byte("a")}}, cause: responseTruncated},
	{name: "no end, no data", frames: []*responseFrame{{Head: responseHead(200)}}, cause: responseTruncated},
	{
		name: "error in the body", frames: []*responseFrame{{Head: responseHead(200), Data: []byte("a")}},
		err: connect.NewError(connect.CodeUnavailable, errors.New("gone")), cause: responseTruncated,
	},
	{
		name: "named error in the body", frames: []*responseFrame{{Head: responseHead(200), Data: []byte("a")}},
		err:   tunnelError(connect.CodeInternal, culvertv1.Cause_CAUSE_UPSTREAM_FAILED, false),
		cause: culvertv1.Cause_CAUSE_UPSTREAM_FAILED,
	},
	{
		name: "cancelled in the body", frames: []*responseFrame{{Head: responseHead(200), Data: []byte("a")}},
		err: connect.NewError(connect.CodeCanceled, errors.New("enough")), cause: culvertv1.Cause_CAUSE_CANCELED,
	},
	{name: "data first", frames: []*responseFrame{{Data: []byte("a")}, {Head: responseHead(200), End: true}}, cause: malformedResponse, whole: true},
	{name: "end first", frames: []*responseFrame{{End: true}}, cause: malformedResponse, whole: true},
	{
		name: "second head", frames: []*responseFrame{{Head: responseHead(200)}, {Head: responseHead(200), End: true}},
		cause: malformedResponse,
	},
	{
		name: "late interim response", cause: malformedResponse,
		frames: []*responseFrame{{Head: responseHead(200)}, {Informational: []*culvertv1.InformationalHead{{Status: 103}}}},
	},
	{
		name: "trailers before the end", cause: malformedResponse,
		frames: []*responseFrame{{Head: responseHead(200)}, {Trailers: responseHead(200, "A", "b").GetHeaders()}, {End: true}},
	},
	{
		name: "frame after the end", cause: malformedResponse,
		frames: []*responseFrame{{Head: responseHead(200), Data: []byte("a"), End: true}, {Data: []byte("b")}},
	},
	{
		name: "frame after the end of nothing", cause: malformedResponse, whole: true,
		frames: []*responseFrame{{Head: responseHead(200), End: true}, {End: true}},
	},
	{name: "accepted unasked", frames: []*responseFrame{{Accepted: true}}, cause: malformedResponse, whole: true},
	{name: "status 0", frames: []*responseFrame{{Head: &culvertv1.ResponseHead{}, End: true}}, cause: malformedResponse, whole: true},
	{name: "status 100", frames: []*responseFrame{{Head: responseHead(100), End: true}}, cause: malformedResponse, whole: true},
	{name: "status 101", frames: []*responseFrame{{Head: responseHead(101), End: true}}, cause: malformedResponse, whole: true},
	{name: "status 1000", frames: []*responseFrame{{Head: responseHead(1000), End: true}}, cause: malformedResponse, whole: true},
	{name: "status 2^32-1", frames: []*responseFrame{{Head: responseHead(1<<32 - 1), End: true}}, cause: malformedResponse, whole: true},
	{
		name: "upgrade with status 200", cause: malformedResponse, whole: true,
		frames: []*responseFrame{{Head: &culvertv1.ResponseHead{Status: 200, Upgrade: "websocket"}, End: true}},
	},
	{
		name: "interim status 200", cause: malformedResponse, whole: true,
		frames: []*responseFrame{{Informational: []*culvertv1.InformationalHead{{Status: 200}}}},
	},
	{
		name: "interim status 101", cause: malformedResponse, whole: true,
		frames: []*responseFrame{{Informational: []*culvertv1.InformationalHead{{Status: 101}}}},
	},
	{name: "field name", frames: []*responseFrame{{Head: responseHead(200, "a b", "c"), End: true}}, cause: malformedResponse, whole: true},
	{name: "pseudo field", frames: []*responseFrame{{Head: responseHead(200, ":status", "200"), End: true}}, cause: malformedResponse, whole: true},
	{name: "field value", frames: []*responseFrame{{Head: responseHead(200, "A", "b\r\nC: d"), End: true}}, cause: malformedResponse, whole: true},
	{name: "transfer coding", frames: []*responseFrame{{Head: responseHead(200, "Transfer-Encoding", "chunked"), End: true}}, cause: malformedResponse, whole: true},
	{name: "two lengths", frames: []*responseFrame{{Head: responseHead(200, "Content-Length", "0", "content-length", "0"), End: true}}, cause: malformedResponse, whole: true},
	{name: "negative length", frames: []*responseFrame{{Head: responseHead(200, "Content-Length", "-1"), End: true}}, cause: malformedResponse, whole: true},
	{name: "short body", frames: []*responseFrame{{Head: responseHead(200, "Content-Length", "2"), Data: []byte("a"), End: true}}, cause: malformedResponse},
	{name: "no body", frames: []*responseFrame{{Head: responseHead(200, "Content-Length", "2"), End: true}}, cause: malformedResponse, whole: true},
	{name: "long body", frames: []*responseFrame{{Head: responseHead(200, "Content-Length", "1"), Data: []byte("ab"), End: true}}, cause: malformedResponse},
	{name: "body to HEAD", method: http.MethodHead, frames: []*responseFrame{{Head: responseHead(200), Data: []byte("a"), End: true}}, cause: malformedResponse},
	{name: "body with 204", frames: []*responseFrame{{Head: responseHead(204), Data: []byte("a"), End: true}}, cause: malformedResponse},
	{name: "body with 304", frames: []*responseFrame{{Head: responseHead(304), Data: []byte("a"), End: true}}, cause: malformedResponse},
	{
		name: "trailer name", cause: malformedResponse,
		frames: []*responseFrame{{Head: responseHead(200), Data: []byte("a"), End: true, Trailers: responseHead(200, "a b", "c").GetHeaders()}},
	},
	{name: "large head", frames: []*responseFrame{{Head: responseHead(200, "A", strings.Repeat("b", 1000)), End: true}}, cause: responseTooLarge, whole: true},
	{name: "many fields", frames: []*responseFrame{{Head: responseHead(200, make([]string, 22)...), End: true}}, cause: responseTooLarge, whole: true},
	{
		name: "large trailers", cause: responseTooLarge,
		frames: []*responseFrame{{Head: responseHead(200), Data: []byte("a"), End: true, Trailers: responseHead(200, "A", strings.Repeat("b", 1000)).GetHeaders()}},
	},
	{
		name: "large interim responses", cause: responseTooLarge, whole: true,
		frames: []*responseFrame{{Informational: []*culvertv1.InformationalHead{
			{Status: 103, Headers: responseHead(200, "A", strings.Repeat("b", 400)).GetHeaders()},
			{Status: 103, Headers: responseHead(200, "A", strings.Repeat("b", 400)).GetHeaders()},
		}}, {Head: responseHead(200), End: true}},
	},
}

func TestTransportReportsMalformedResponses(t *testing.T) {
	for _, row := range malformedResponses {
		t.Run(row.name, func(t *testing.T) {
			for _, protocol := range protocols {
				r := newScript(t, answer(row.err, row.frames...), culvert.WithProtocol(protocol), culvert.WithMaxResponseHead(700, 10))
				method := row.method
				if method == "" {
					method = http.MethodGet
				}
				resp, err := r.transport.RoundTrip(newRigRequest(t, method, "/", nil))
				if (err != nil) != row.whole {
					t.Fatalf("%s: RoundTrip: %v", protocol, err)
				}
				if err == nil {
					var body []byte
					body, err = io.ReadAll(resp.Body)
					_ = resp.Body.Close()
					if !errors.Is(err, io.ErrUnexpectedEOF) {
						t.Errorf("%s: error %v is not an unexpected end", protocol, err)
					}
					if len(body) > 1 {
						t.Errorf("%s: body %q", protocol, body)
					}
				}
				wantCause(t, err, row.cause)
			}
		})
	}
}

// A response that is all right, in unusual pieces.
func TestTransportTakesFramesAsTheyCome(t *testing.T) {
	r := newScript(t, answer(nil,
		&responseFrame{},
		&responseFrame{Informational: []*culvertv1.InformationalHead{{Status: 102}}},
		&responseFrame{},
		&responseFrame{Informational: []*culvertv1.InformationalHead{{Status: 103}}, Head: responseHead(200), Data: []byte("a")},
		&responseFrame{},
		&responseFrame{Data: []byte("b")},
		&responseFrame{Data: []byte("c"), End: true, Trailers: responseHead(200, "x-a", "1", "Content-Type", "2", "Host", "3").GetHeaders()},
		&responseFrame{},
	))
	resp := r.get(t, "/")
	if got := readBody(t, resp); got != "abc" {
		t.Errorf("body %q", got)
	}
	if len(resp.Trailer) != 1 || resp.Trailer.Get("X-A") != "1" {
		t.Errorf("trailers %v", resp.Trailer)
	}
}

// An RPC that fails after the end does not take a complete response back.
func TestTransportKeepsACompleteResponse(t *testing.T) {
	r := newScript(t, answer(connect.NewError(connect.CodeInternal, errors.New("late")),
		&responseFrame{Head: responseHead(200), Data: []byte("a"), End: true}))
	if got := readBody(t, r.get(t, "/")); got != "a" {
		t.Errorf("body %q", got)
	}
}

func TestTransportDoesNotWaitForAnRPCThatDoesNotEnd(t *testing.T) {
	release := make(chan struct{})
	r := newScript(t, func(ctx context.Context, stream *exchangeRPC) error {
		_ = stream.Send(&responseFrame{Head: responseHead(200), Data: []byte("a"), End: true})
		<-ctx.Done()
		close(release)
		return ctx.Err()
	})
	if got := readBody(t, r.get(t, "/")); got != "a" {
		t.Errorf("body %q", got)
	}
	await(t, "end of the RPC", release)
}

func TestTransportNamesErrors(t *testing.T) {
	for name, row := range map[string]struct {
		err    error
		cause  culvertv1.Cause
		remote bool
	}{
		"detail":     {tunnelError(connect.CodeFailedPrecondition, culvertv1.Cause_CAUSE_LOOP, false), culvertv1.Cause_CAUSE_LOOP, true},
		"of a later": {tunnelError(connect.CodeInternal, 99, false), 99, true},
		"code":       {connect.NewError(connect.CodeUnavailable, errors.New("x")), culvertv1.Cause_CAUSE_UNSPECIFIED, true},
		"cancelled":  {connect.NewError(connect.CodeCanceled, errors.New("x")), culvertv1.Cause_CAUSE_CANCELED, true},
		"late":       {connect.NewError(connect.CodeDeadlineExceeded, errors.New("x")), culvertv1.Cause_CAUSE_DEADLINE_EXCEEDED, true},
		"unknown":    {connect.NewError(connect.CodeUnauthenticated, errors.New("x")), culvertv1.Cause_CAUSE_UNAUTHENTICATED, true},
		"forbidden":  {connect.NewError(connect.CodePermissionDenied, errors.New("x")), culvertv1.Cause_CAUSE_PERMISSION_DENIED, true},
	} {
		for _, protocol := range protocols {
			r := newScript(t, answer(row.err), culvert.WithProtocol(protocol))
			resp, err := r.transport.RoundTrip(newRigRequest(t, http.MethodGet, "/", nil))
			if err == nil {
				_ = resp.Body.Close()
			}
			wantCause(t, err, row.cause)
			var tunnelErr *culvert.Error
			if errors.As(err, &tunnelErr) && tunnelErr.Remote != row.remote {
				t.Errorf("%s: remote is %v", name, tunnelErr.Remote)
			}
		}
	}
}
