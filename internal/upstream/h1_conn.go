package upstream

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// h1ReadBuffer is the size of a connection's read buffer. Larger reads of a body
// go past it. It bounds the trailer section too.
const h1ReadBuffer = 16 << 10

// maxInformational bounds the number of interim responses to one request.
const maxInformational = 1000

var (
	errHeadTooLarge  = errors.New("head of the response is over the limit")
	errNotHTTP       = errors.New("read response: not HTTP/1.1")
	errInformational = errors.New("too many interim responses")
)

// h1Conn is a connection that carries one exchange at a time.
type h1Conn struct {
	net.Conn
	client    *h1Client
	br        *bufio.Reader
	allowance int // bytes that may be read now, while a head is read; else negative
	reused    bool
	idleSince time.Time
}

func newH1Conn(client *h1Client, conn net.Conn) *h1Conn {
	c := &h1Conn{Conn: conn, client: client, allowance: -1}
	c.br = bufio.NewReaderSize(boundedReader{c}, h1ReadBuffer)
	return c
}

// boundedReader reads from a connection what its allowance lets it.
type boundedReader struct{ conn *h1Conn }

func (r boundedReader) Read(p []byte) (int, error) {
	c := r.conn
	if c.allowance < 0 {
		return c.Conn.Read(p)
	}
	if c.allowance == 0 {
		return 0, errHeadTooLarge
	}
	n, err := c.Conn.Read(p[:min(len(p), c.allowance)])
	c.allowance -= n
	return n, err
}

// quiet reports whether nothing has come since the last response. What comes
// while nothing was asked for is a close, mostly, or the answer to a question
// that nobody put.
func (c *h1Conn) quiet() bool {
	return c.readOut() && socketQuiet(c.Conn) && c.tlsQuiet()
}

// readOut reports whether nothing that was read is left over.
func (c *h1Conn) readOut() bool { return c.br.Buffered() == 0 }

// interrupt makes reads and writes return, now and from now on.
func (c *h1Conn) interrupt() { _ = c.SetDeadline(longAgo) }

func (c *h1Conn) discard() { _ = c.Close() }

// readResponse reads the head of the final response, and passes on the interim
// ones before it.
func (c *h1Conn) readResponse(method string, informational func(int, http.Header) error) (*http.Response, error) {
	if err := c.awaitByte(); err != nil {
		return nil, err
	}
	for range maxInformational {
		c.allowance = c.client.maxHead
		response, err := http.ReadResponse(c.br, &http.Request{Method: method})
		if err == nil {
			err = validateHead(response)
		}
		if err == nil && response.ProtoMajor != 1 {
			err = errNotHTTP
		}
		if err != nil {
			if c.allowance == 0 {
				err = errHeadTooLarge
			}
			return nil, fmt.Errorf("read response: %w", noEOF(err))
		}
		if !isInformational(response.StatusCode) {
			c.allowance = -1
			return response, nil
		}
		if err := informational(response.StatusCode, response.Header); err != nil {
			return nil, err
		}
	}
	return nil, errInformational
}

// noResponseError is the error of a connection that ended without a single byte
// of a response.
type noResponseError struct{ err error }

func (e *noResponseError) Error() string { return fmt.Sprintf("wait for response: %v", e.err) }
func (e *noResponseError) Unwrap() error { return e.err }

func (c *h1Conn) awaitByte() error {
	c.allowance = -1
	first, err := c.br.Peek(1)
	if err != nil {
		return &noResponseError{err: noEOF(err)}
	}
	if first[0] != 'H' {
		// A server of something else, h2c for instance, might never send a line.
		return errNotHTTP
	}
	return nil
}

// isInformational reports whether a status is that of an interim response. 101 is
// final.
func isInformational(status int) bool {
	return status >= 100 && status <= 199 && status != http.StatusSwitchingProtocols
}

// validateHead checks what net/http would panic on or pass over in silence.
func validateHead(response *http.Response) error {
	if response.StatusCode < 100 || response.StatusCode > 999 {
		return fmt.Errorf("status %d is not valid", response.StatusCode)
	}
	if wrong := validateFields(response.Header); wrong != "" {
		return errors.New(wrong)
	}
	return nil
}

// noEOF makes an end that came too early an error that says so.
func noEOF(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
