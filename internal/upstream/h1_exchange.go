package upstream

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/http/httpguts"
)

// writeGrace is how long the upstream has to take the rest of a request that it
// has already answered in full, for the connection to be used again.
const writeGrace = 50 * time.Millisecond

// roundTrip implements roundTripper.
func (c *h1Client) roundTrip(out *outgoing) (*http.Response, error) {
	conn, err := c.get(out.ctx, false)
	if err != nil {
		return nil, err
	}
	response, err := conn.exchange(out)
	if err == nil || !conn.reused || !safeToRepeat(out, err) || out.ctx.Err() != nil {
		return response, err
	}
	again, dialErr := c.get(out.ctx, true)
	if dialErr != nil {
		return nil, err // not that the upstream is out of reach: it may have seen the first
	}
	return again.exchange(out)
}

// headWriteError is the error of a request whose head could not be written.
type headWriteError struct{ err error }

func (e *headWriteError) Error() string { return "write request: " + e.err.Error() }
func (e *headWriteError) Unwrap() error { return e.err }

// safeToRepeat reports whether a request that met a connection that the upstream
// was about to close may be sent on another: where its head did not get out, or
// where doing it twice is the same as once [RFC 9110 § 9.2.2].
func safeToRepeat(out *outgoing, err error) bool {
	if _, ok := errors.AsType[*headWriteError](err); ok {
		return true
	}
	var unanswered *noResponseError
	if !errors.As(err, &unanswered) || out.body != nil {
		return false
	}
	switch out.method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace, http.MethodPut, http.MethodDelete:
		return true
	default:
		return false
	}
}

// exchange sends a request and reads the head of its response. The connection
// belongs to the response's body from then on, and is closed in case of an error.
func (c *h1Conn) exchange(out *outgoing) (*http.Response, error) {
	release := context.AfterFunc(out.ctx, c.interrupt)
	body := &h1Body{conn: c, out: out, release: release}
	response, err := c.exchangeHeads(out, body)
	if err != nil {
		body.abandon()
		if out.ctx.Err() != nil {
			err = context.Cause(out.ctx)
		}
		return nil, err
	}
	body.response = response.Body
	body.ended = !hasBody(out.method, response.StatusCode)
	body.reusable = !response.Close
	response.Body = body
	if response.StatusCode == http.StatusSwitchingProtocols {
		response.Body = &h1Tunnel{h1Body: body}
	}
	return response, nil
}

func (c *h1Conn) exchangeHeads(out *outgoing, body *h1Body) (*http.Response, error) {
	if _, err := c.Write(appendRequestHead(nil, out)); err != nil {
		return nil, &headWriteError{err: err}
	}
	if out.body == nil {
		out.sent()
	} else {
		body.upload = startH1Upload(c, out)
	}
	response, err := c.readResponse(out.method, func(status int, header http.Header) error {
		if status == http.StatusContinue {
			body.upload.continued()
		}
		return out.informational(status, header)
	})
	if err != nil {
		return nil, err
	}
	body.upload.answered(response)
	return response, nil
}

func expectsContinue(header http.Header) bool {
	return httpguts.HeaderValuesContainsToken(header["Expect"], "100-continue")
}

// appendRequestHead appends the head of a request [RFC 9112 § 3].
func appendRequestHead(head []byte, out *outgoing) []byte {
	if head == nil {
		head = make([]byte, 0, 1024)
	}
	head = append(append(append(head, out.method...), ' '), out.target...)
	head = append(append(append(head, " HTTP/1.1\r\nHost: "...), out.authority...), "\r\n"...)
	switch {
	case out.body == nil && wantsLength(out):
		head = append(head, "Content-Length: 0\r\n"...)
	case out.body == nil:
	case !out.chunked():
		head = append(strconv.AppendInt(append(head, "Content-Length: "...), out.contentLength, 10), "\r\n"...)
	default:
		head = append(head, "Transfer-Encoding: chunked\r\n"...)
		if names := announced(out.trailer); names != "" {
			head = append(append(append(head, "Trailer: "...), names...), "\r\n"...)
		}
	}
	head = appendConnection(head, out)
	head = appendFields(head, out.header)
	return append(head, "\r\n"...)
}

// wantsLength reports whether a request without a body should say so, which it
// should where its method gives a body a meaning [RFC 9110 § 8.6].
func wantsLength(out *outgoing) bool {
	switch out.method {
	case http.MethodPost, http.MethodPut, http.MethodPatch:
		return true
	default:
		return out.zeroLength
	}
}

// appendConnection appends the fields that belong to this connection.
func appendConnection(head []byte, out *outgoing) []byte {
	var options []string
	if out.upgrade != "" {
		options = append(options, "Upgrade")
		head = append(append(append(head, "Upgrade: "...), out.upgrade...), "\r\n"...)
	}
	if len(out.header["Te"]) > 0 {
		options = append(options, "TE")
	}
	if len(options) > 0 {
		head = append(append(append(head, "Connection: "...), strings.Join(options, ", ")...), "\r\n"...)
	}
	return head
}

func appendFields(section []byte, fields http.Header) []byte {
	for name, values := range fields {
		for _, value := range values {
			section = append(append(append(append(section, name...), ": "...), value...), "\r\n"...)
		}
	}
	return section
}

// h1Body is the body of a response, and what holds the connection for it.
type h1Body struct {
	conn     *h1Conn
	out      *outgoing
	response io.ReadCloser
	upload   *h1Upload // nil if the request has no body
	release  func() bool
	reusable bool
	ended    bool
}

// Read implements io.Reader.
func (b *h1Body) Read(p []byte) (int, error) {
	n, err := b.response.Read(p)
	if err == io.EOF {
		b.ended = true
	} else if err != nil && b.out.ctx.Err() != nil {
		err = context.Cause(b.out.ctx)
	}
	return n, err
}

// Close gives the connection back if the exchange has ended in order, and closes
// it if not.
func (b *h1Body) Close() error {
	if !b.ended || !b.reusable || !b.conn.readOut() || !b.uploaded() || !b.release() {
		b.abandon()
		return nil
	}
	b.conn.reused = true
	b.conn.client.put(b.conn)
	return nil
}

// uploaded reports whether the request got out in full. The last of it may be on
// its way when the response is already here.
func (b *h1Body) uploaded() bool {
	if b.upload == nil {
		return true
	}
	if b.out.body.ended.Load() {
		_ = b.conn.SetWriteDeadline(time.Now().Add(writeGrace))
		<-b.upload.done
		_ = b.conn.SetDeadline(time.Time{})
		return b.upload.err == nil
	}
	return false
}

// abandon closes the connection and waits for the upload to notice.
func (b *h1Body) abandon() {
	b.release()
	b.conn.discard()
	if b.upload != nil {
		b.out.body.stop()
		b.upload.abandon()
	}
}
