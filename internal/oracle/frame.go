package oracle

import (
	"net/http"
	"strings"
	"unicode/utf8"

	culvertv1 "github.com/culvert-http/culvert/api/culvert/v1"
)

// requestHead returns the head of a request as a frame has it.
func requestHead(version Version, r *Request) *culvertv1.RequestHead {
	head := &culvertv1.RequestHead{
		Method:    r.Method,
		Authority: r.Host,
		Headers:   encode(r.Header),
		Upgrade:   r.Upgrade,
		HttpVersion: map[Version]culvertv1.HTTPVersion{
			HTTP10: culvertv1.HTTPVersion_HTTP_VERSION_1_0,
			HTTP11: culvertv1.HTTPVersion_HTTP_VERSION_1_1,
			HTTP2:  culvertv1.HTTPVersion_HTTP_VERSION_2_0,
		}[version],
	}
	if utf8.ValidString(r.Target) {
		head.Path = r.Target
	} else {
		head.RawPath = []byte(r.Target)
	}
	if length, ok := r.length(); ok {
		head.Headers = append(head.Headers, &culvertv1.Field{Name: "Content-Length", Value: length})
	}
	return head
}

func encode(header http.Header) []*culvertv1.Field {
	var fields []*culvertv1.Field
	for name, values := range header {
		for _, value := range values {
			field := &culvertv1.Field{Name: name}
			if utf8.ValidString(value) {
				field.Value = value
			} else {
				field.RawValue = []byte(value)
			}
			fields = append(fields, field)
		}
	}
	return fields
}

func decode(fields []*culvertv1.Field) http.Header {
	header := make(http.Header, len(fields))
	for _, field := range fields {
		header.Add(field.GetName(), field.GetValue()+string(field.GetRawValue()))
	}
	return header
}

// maxData is how much of a body a message of a stream takes.
const maxData = 256 << 10

// send sends the frames of the request. It reports whether all of them were
// wanted, the end included.
func (c *tunnelCall) send(send func(*culvertv1.RequestFrame) error) (bool, error) {
	r := c.request
	if size := r.Size(); c.packed && size <= maxData || r.Body == nil {
		return true, send(&culvertv1.RequestFrame{
			Head: c.head, Data: []byte(strings.Join(r.Body, "")), End: true, Trailers: encode(r.Trailer),
		})
	}
	if err := send(&culvertv1.RequestFrame{Head: c.head}); err != nil {
		return false, err
	}
	count := 0
	for _, chunk := range r.Body {
		if !c.pace.wait(count) {
			return false, nil
		}
		count += len(chunk)
		for len(chunk) > 0 {
			part := chunk[:min(len(chunk), maxData)]
			chunk = chunk[len(part):]
			if err := send(&culvertv1.RequestFrame{Data: []byte(part)}); err != nil {
				return false, err
			}
		}
	}
	if r.Cut {
		return true, nil
	}
	if !c.pace.wait(count) {
		return false, nil
	}
	return true, send(&culvertv1.RequestFrame{End: true, Trailers: encode(r.Trailer)})
}
