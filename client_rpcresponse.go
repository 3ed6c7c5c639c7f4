package culvert

import (
	"fmt"
	"io"
	"net/http"
	"strings"

	culvertv1 "github.com/culvert-http/culvert/api/culvert/v1"
	"github.com/culvert-http/culvert/internal/framing"
)

// boundedDoer carries RPCs of connect's client, which does not go on with a message
// that is over its limit but reads all of it first, however long that takes.
type boundedDoer struct {
	*clientDoer
	most int // bytes a message
}

// Do implements connect.HTTPClient.
func (d boundedDoer) Do(request *http.Request) (*http.Response, error) {
	response, err := d.clientDoer.Do(request)
	if err != nil {
		return nil, err
	}
	body := &boundedResponse{ReadCloser: response.Body, most: int64(d.most)}
	contentType := response.Header.Get("Content-Type")
	body.enveloped = strings.HasPrefix(contentType, "application/grpc") || strings.HasPrefix(contentType, "application/connect+")
	if !body.enveloped && response.ContentLength > body.most {
		body.err = messageTooLong(response.ContentLength, body.most)
	}
	response.Body = body
	return response, nil
}

// boundedResponse is the body of an RPC's response, which fails where more than is
// allowed is announced.
type boundedResponse struct {
	io.ReadCloser
	most      int64 // bytes a message
	enveloped bool
	track     framing.Track
	read      int64 // where there are no envelopes
	err       error
}

// Read implements io.Reader. What was read with an announcement is given out:
// there may be messages before it.
func (b *boundedResponse) Read(p []byte) (int, error) {
	if b.err != nil {
		return 0, b.err
	}
	n, err := b.ReadCloser.Read(p)
	if !b.enveloped {
		if b.read += int64(n); b.read > b.most {
			b.err = messageTooLong(b.read, b.most)
		}
		return n, err
	}
	for rest, begun := b.track.Next(framing.Envelopes, p[:n]); begun && b.err == nil; rest, begun = b.track.Next(framing.Envelopes, rest) {
		if b.track.Left > b.most {
			b.err = messageTooLong(b.track.Left, b.most)
		}
	}
	return n, err
}

func messageTooLong(size, most int64) error {
	return &Error{
		Cause: culvertv1.Cause_CAUSE_RESPONSE_TOO_LARGE,
		Err:   fmt.Errorf("%w: %d bytes are over the limit of %d", errMessageTooLong, size, most),
	}
}
