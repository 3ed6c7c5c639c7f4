package bridge

import (
	"bytes"
	"io"
	"unicode/utf8"

	culvertv1 "github.com/culvert-http/culvert/api/culvert/v1"
)

// WholeRequest is the receiving side of a ServerStream whose request came in one
// message.
type WholeRequest struct {
	frame *culvertv1.RequestFrame // nil once it was received
}

// NewWholeRequest returns the receiving side for a frame that holds the whole
// request, the end included or not.
func NewWholeRequest(frame *culvertv1.RequestFrame) *WholeRequest {
	return &WholeRequest{frame: frame}
}

// Receive implements ServerStream.
func (r *WholeRequest) Receive(frame *culvertv1.RequestFrame) error {
	if r.frame == nil {
		return io.EOF
	}
	frame.Head = r.frame.GetHead()
	frame.Data = r.frame.GetData()
	frame.Trailers = r.frame.GetTrailers()
	frame.End = true
	r.frame = nil
	return nil
}

// InterruptReceive implements ServerStream. Nothing waits.
func (r *WholeRequest) InterruptReceive() {}

// FrameOf returns the frame that says the same as a request of Call.
func FrameOf(request *culvertv1.HTTPRequest) (*culvertv1.RequestFrame, error) {
	data := request.GetBody()
	if text := request.GetText(); text != "" {
		if len(data) > 0 {
			return nil, malformed("both body and text")
		}
		data = []byte(text)
	}
	return &culvertv1.RequestFrame{
		Head: &culvertv1.RequestHead{
			Method:        request.GetMethod(),
			Scheme:        request.GetScheme(),
			Authority:     request.GetAuthority(),
			Path:          request.GetPath(),
			RawPath:       request.GetRawPath(),
			Headers:       request.GetHeaders(),
			HttpVersion:   request.GetHttpVersion(),
			ClientAddress: request.GetClientAddress(),
		},
		Data:     data,
		End:      true,
		Trailers: request.GetTrailers(),
	}, nil
}

// WholeResponse is the sending side of a ServerStream whose response goes in one
// message.
type WholeResponse struct {
	maxBody  int
	response culvertv1.HTTPResponse
	err      *Error
}

// NewWholeResponse returns a sending side that takes at most maxBody bytes of
// body.
func NewWholeResponse(maxBody int) *WholeResponse {
	return &WholeResponse{maxBody: maxBody}
}

// Send implements ServerStream.
func (r *WholeResponse) Send(frame *culvertv1.ResponseFrame) error {
	if r.err != nil {
		return r.err
	}
	response := &r.response
	response.Informational = append(response.Informational, frame.GetInformational()...)
	if head := frame.GetHead(); head != nil {
		response.Status = head.GetStatus()
		response.Headers = cloneFields(head.GetHeaders())
	}
	if len(response.GetBody())+len(frame.GetData()) > r.maxBody {
		r.err = overLimit(culvertv1.Cause_CAUSE_RESPONSE_TOO_LARGE,
			"more than %d bytes of body do not fit into one message: Download and Exchange have no limit", r.maxBody)
		return r.err
	}
	response.Body = append(response.Body, frame.GetData()...)
	if frame.GetEnd() {
		response.Trailers = frame.GetTrailers()
	}
	return nil
}

// InterruptSend implements ServerStream. Nothing waits.
func (r *WholeResponse) InterruptSend() {}

// Response returns the response. asText moves its body to where people can read
// it, if it is text.
func (r *WholeResponse) Response(asText bool) *culvertv1.HTTPResponse {
	response := &r.response
	if body := response.GetBody(); asText && utf8.Valid(body) && bytes.IndexByte(body, 0) < 0 {
		response.Text, response.Body = string(body), nil
	}
	return response
}
