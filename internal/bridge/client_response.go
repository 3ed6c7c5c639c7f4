package bridge

import (
	"fmt"
	"net/http"
	"net/textproto"
	"strconv"
	"strings"

	"golang.org/x/net/http/httpguts"

	culvertv1 "github.com/culvert-http/culvert/api/culvert/v1"
)

// takeHead makes the response of the frame that has its head.
func (x *clientExchange) takeHead(frame *culvertv1.ResponseFrame) (*http.Response, *Error) {
	resp, err := x.newResponse(frame.GetHead())
	if err != nil {
		return nil, err
	}
	if resp.StatusCode == http.StatusSwitchingProtocols {
		return x.switchProtocols(resp)
	}
	if !frame.GetEnd() { // else there may be trailers
		frame.Head = nil
		release(x.frames.stream)
	}
	if x.sender != nil {
		x.letBodyGo(resp.StatusCode, frame.GetEnd())
	} else if x.request.Upgrade() != "" {
		x.endDeclinedUpgrade()
	}
	body := &x.responseBody
	body.exchange, body.response = x, resp
	if err := body.begin(frame); err != nil {
		return nil, err
	}
	return resp, nil
}

// newResponse checks a head, and makes of it what net/http's transport would
// have made of the same response.
func (x *clientExchange) newResponse(head *culvertv1.ResponseHead) (*http.Response, *Error) {
	status := int(head.GetStatus())
	if problem := x.checkStatus(head); problem != nil {
		return nil, problem
	}
	if over := x.client.Limits.exceededBy(head.GetHeaders(), 0); over != "" {
		return nil, responseTooLarge("response head: %s", over)
	}
	header, err := decodeFields(head.GetHeaders(), responseHeader)
	if err != nil {
		return nil, malformedResponse("response head: %w", err)
	}
	length, err := contentLength(header)
	if err != nil {
		return nil, malformedResponse("response head: %w", err)
	}
	x.response = http.Response{
		Status:        statusLine(status),
		StatusCode:    status,
		Proto:         "HTTP/1.1",
		ProtoMajor:    1,
		ProtoMinor:    1,
		Header:        header,
		Trailer:       announcedTrailers(header),
		ContentLength: length,
		Request:       x.request.request,
	}
	return &x.response, nil
}

func (x *clientExchange) checkStatus(head *culvertv1.ResponseHead) *Error {
	status, asked, got := head.GetStatus(), x.request.Upgrade(), head.GetUpgrade()
	switch {
	case status == http.StatusSwitchingProtocols && asked == "":
		return malformedResponse("switch of protocols that was not asked for")
	case status == http.StatusSwitchingProtocols && !strings.EqualFold(asked, got):
		return malformedResponse("switch to protocol %q, not to %q", clip(got), clip(asked))
	case status == http.StatusSwitchingProtocols:
		return nil
	case got != "":
		return malformedResponse("upgrade with status %d", status)
	case status < 200 || status > 999:
		return malformedResponse("status %d", status)
	default:
		return nil
	}
}

// letBodyGo decides about a request body that waits for a 100 when the response
// comes instead. Servers that refuse do not want it; those that do not may read
// on.
func (x *clientExchange) letBodyGo(status int, ended bool) {
	if ended || status >= 300 {
		x.sender.decline()
	} else {
		x.sender.proceed()
	}
}

// endDeclinedUpgrade ends a request that was kept open for another protocol.
func (x *clientExchange) endDeclinedUpgrade() {
	if x.stream.Send(&culvertv1.RequestFrame{End: true}) == nil {
		_ = x.stream.CloseSend()
	} // else the end of the stream tells
}

// statusLine returns the status with the reason that net/http's server for
// HTTP/1.1 would have sent.
func statusLine(status int) string {
	if status == http.StatusOK {
		return "200 OK" // nearly always
	}
	code, text := strconv.Itoa(status), http.StatusText(status)
	if text == "" {
		text = "status code " + code
	}
	return code + " " + text
}

// announcedTrailers moves the names in Trailer to where net/http's callers
// expect them.
func announcedTrailers(header http.Header) http.Header {
	values, ok := header["Trailer"]
	if !ok {
		return nil
	}
	delete(header, "Trailer")
	trailer := make(http.Header)
	for _, name := range elements(values) {
		name = textproto.CanonicalMIMEHeaderKey(name)
		if httpguts.ValidHeaderFieldName(name) && httpguts.ValidTrailerHeader(name) {
			trailer[name] = nil
		}
	}
	if len(trailer) == 0 {
		return nil
	}
	return trailer
}

// responseTooLarge is the error of a response that is over a limit of the
// client's.
func responseTooLarge(format string, args ...any) *Error {
	return &Error{Cause: culvertv1.Cause_CAUSE_RESPONSE_TOO_LARGE, Err: fmt.Errorf(format, args...)}
}

// hasNoBody reports whether a response cannot have a body [RFC 9110 § 6.4.1].
func hasNoBody(resp *http.Response) bool {
	return resp.Request.Method == http.MethodHead || !bodyAllowed(resp.StatusCode)
}
