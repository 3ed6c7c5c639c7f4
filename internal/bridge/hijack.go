package bridge

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	culvertv1 "github.com/culvert-http/culvert/api/culvert/v1"
)

// hijack hands the exchange's two directions to the handler as a connection.
func (e *exchange) hijack() (net.Conn, *bufio.ReadWriter, error) {
	if e.conn != nil {
		return nil, nil, http.ErrHijacked
	}
	if err := e.ctx.Err(); err != nil {
		return nil, nil, err
	}
	c := &hijackedConn{exchange: e, arrivals: newArrivals(), closed: make(chan struct{})}
	if pausing, ok := e.stream.(PausingStream); ok {
		c.arrivals.pause = pausing.PauseReceive
	}
	if e.response.status != 0 {
		if err := e.response.buffer.flush(&e.response); err != nil {
			return nil, nil, err
		}
		c.headDone = true
	}
	e.idle.stop()
	e.conn = c
	if c.arrivals.pause == nil {
		go c.receive()
	}
	return c, bufio.NewReadWriter(bufio.NewReader(c), bufio.NewWriter(c)), nil
}

// hijackedConn is the connection of a handler that has hijacked. It lives until
// Close, or until the RPC ends, also after the handler has returned.
type hijackedConn struct {
	exchange *exchange
	arrivals *arrivals

	mu       sync.Mutex              // guards writing, held while sending
	headDone bool                    // a final head was sent; what is written from here on is data
	head     []byte                  // what was written of it so far
	frame    culvertv1.ResponseFrame // that carries data
	rest     *rawResponse
	ended    bool

	closeOnce sync.Once
	closed    chan struct{}
}

// receive moves what the client sends to where Read waits for it, with a
// deadline of its own, and stops reading the stream when nobody reads here.
func (c *hijackedConn) receive() {
	body := &c.exchange.body
	body.mu.Lock()
	defer body.mu.Unlock()
	if len(body.rest) > 0 && !c.arrivals.put(body.rest) {
		return
	}
	for !body.ended {
		frame, err := body.frames.next()
		if err == nil {
			err = body.take(frame)
		}
		if err != nil {
			c.lose(err)
			return
		}
		body.read.Add(int64(len(body.rest)))
		if len(body.rest) > 0 && !c.arrivals.put(body.rest) {
			return
		}
	}
	c.arrivals.end(io.EOF)
}

// lose ends reading with an error of the stream's, unless it is only that the
// handler has closed the connection.
func (c *hijackedConn) lose(err *Error) {
	select {
	case <-c.closed:
	default:
		c.arrivals.end(handlerError(c.exchange.failRequest(err)))
	}
}

// Read implements net.Conn.
func (c *hijackedConn) Read(p []byte) (int, error) {
	if c.arrivals.pause == nil {
		return c.arrivals.read(p)
	}
	body := &c.exchange.body
	body.mu.Lock()
	defer body.mu.Unlock()
	for {
		if n, ready, err := c.arrivals.take(p); ready {
			return n, err
		}
		c.receiveNext()
	}
}

// receiveNext receives a frame on the goroutine that reads, so that it is the only
// one that is woken for it. It may return without a frame.
func (c *hijackedConn) receiveNext() {
	body := &c.exchange.body
	if body.ended {
		c.arrivals.end(io.EOF)
		return
	}
	frame, err := body.frames.next()
	if err == ErrPaused {
		return
	}
	if err == nil {
		err = body.take(frame)
	}
	if err != nil {
		c.lose(err)
		return
	}
	body.read.Add(int64(len(body.rest)))
	c.arrivals.set(body.rest)
}

// Write implements net.Conn.
func (c *hijackedConn) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		return 0, net.ErrClosed
	}
	if c.rest != nil {
		return c.rest.Write(p)
	}
	if !c.headDone {
		return wrote(len(p), c.writeHead(p))
	}
	return wrote(len(p), c.writeData(p))
}

func (c *hijackedConn) writeData(p []byte) error {
	for len(p) > 0 {
		part := p[:min(len(p), MaxData)]
		c.frame.Data = part
		err := c.exchange.send(&c.frame)
		c.frame.Data = nil
		if err != nil {
			return err
		}
		p = p[len(part):]
	}
	return nil
}

// maxRawHead bounds the head that a handler writes on its connection, in bytes.
const maxRawHead = 1 << 20

// writeHead collects the bytes of a head, and sends it when it is complete.
func (c *hijackedConn) writeHead(p []byte) error {
	c.head = append(c.head, p...)
	for {
		end := bytes.Index(c.head, []byte("\r\n\r\n"))
		if end < 0 {
			if len(c.head) > maxRawHead {
				return fmt.Errorf("write response head: no end after %d bytes", len(c.head))
			}
			return nil
		}
		end += len("\r\n\r\n")
		head, rest := c.head[:end], c.head[end:]
		response, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(head)), c.exchange.request)
		if err != nil {
			return fmt.Errorf("read response head that was written to the hijacked connection: %w", err)
		}
		switch status := response.StatusCode; {
		case status < 100:
			return fmt.Errorf("status %03d on the hijacked connection is none", status)
		case status == http.StatusSwitchingProtocols:
			c.head, c.headDone = nil, true
			return c.sendSwitch(response, rest)
		case status < 200:
			c.exchange.sendInformational(status, response.Header)
			c.head = rest
		default:
			all := c.head
			c.head, c.rest = nil, newRawResponse(c.exchange)
			_, err := c.rest.Write(all)
			return err
		}
	}
}

// sendSwitch sends the head that ends HTTP, with the first bytes of what follows
// it.
func (c *hijackedConn) sendSwitch(response *http.Response, first []byte) error {
	head := &culvertv1.ResponseHead{
		Status:  http.StatusSwitchingProtocols,
		Headers: encodeFields(responseHeader, response.Header),
		Upgrade: response.Header.Get("Upgrade"),
	}
	with := first[:min(len(first), MaxData)]
	if err := c.exchange.send(&culvertv1.ResponseFrame{Head: head, Data: with}); err != nil {
		return err
	}
	return c.writeData(first[len(with):]) // the frame is the stream's now
}

// CloseWrite ends the handler's direction, and leaves the other one open.
func (c *hijackedConn) CloseWrite() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		return nil
	}
	c.ended = true
	switch cut := c.exchange.isCut(); {
	case c.rest != nil && cut:
		return c.rest.cut()
	case c.rest != nil:
		return c.rest.finish()
	case !c.headDone:
		c.exchange.fail(&Error{
			Cause: culvertv1.Cause_CAUSE_HANDLER_FAILED,
			Err:   errors.New("handler closed its hijacked connection without a response"),
		})
		return nil
	case cut: // an end would say that this was all
		return net.ErrClosed
	default:
		if c.exchange.writeDeadline.passed() { // it is for writes; this is sent in any case
			c.exchange.writeDeadline.set(time.Now().Add(drainTime), c.exchange.interruptSend)
		}
		return c.exchange.send(&culvertv1.ResponseFrame{End: true})
	}
}

// Close implements net.Conn. It ends the exchange.
func (c *hijackedConn) Close() error {
	var err error
	c.closeOnce.Do(func() {
		// A Write that waits for the client holds mu: nobody wants its bytes now.
		if !c.mu.TryLock() {
			time.AfterFunc(drainTime, c.exchange.stream.InterruptSend)
		} else {
			c.mu.Unlock()
		}
		err = c.CloseWrite()
		c.arrivals.end(net.ErrClosed)
		close(c.closed)
	})
	return err
}

// isCut reports whether the exchange has failed, or its time is over: what the
// handler ends because of that has not come to its end.
func (e *exchange) isCut() bool {
	if err := e.ctx.Err(); err != nil {
		e.fail(&Error{Cause: culvertv1.Cause_CAUSE_CANCELED, Err: err})
	}
	return e.failure.Load() != nil
}

// Abort closes the connection in a way that the client sees as an error, as a
// reset of TCP's is.
func (c *hijackedConn) Abort() {
	c.exchange.fail(&Error{Cause: culvertv1.Cause_CAUSE_HANDLER_FAILED, Err: http.ErrAbortHandler})
	_ = c.Close()
}

// wait returns when the connection is closed, by the handler or by the end of
// the RPC.
func (c *hijackedConn) wait(ctx context.Context) {
	if c.exchange.failure.Load() == nil {
		select {
		case <-c.closed:
		case <-ctx.Done():
			c.exchange.fail(&Error{Cause: culvertv1.Cause_CAUSE_CANCELED, Err: ctx.Err()})
		}
	}
	c.arrivals.end(net.ErrClosed)
	c.exchange.stream.InterruptReceive()
	if c.exchange.failure.Load() != nil {
		c.exchange.stream.InterruptSend()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended = true
	if c.rest != nil { // which may wait for more of the response
		_ = c.rest.cut()
	}
}

// LocalAddr implements net.Conn.
func (c *hijackedConn) LocalAddr() net.Addr {
	if addr, ok := c.exchange.ctx.Value(http.LocalAddrContextKey).(net.Addr); ok {
		return addr
	}
	return addr("")
}

// RemoteAddr implements net.Conn.
func (c *hijackedConn) RemoteAddr() net.Addr { return addr(c.exchange.request.RemoteAddr) }

// SetDeadline implements net.Conn.
func (c *hijackedConn) SetDeadline(at time.Time) error {
	return errors.Join(c.SetReadDeadline(at), c.SetWriteDeadline(at))
}

// SetReadDeadline implements net.Conn.
func (c *hijackedConn) SetReadDeadline(at time.Time) error {
	c.arrivals.setDeadline(at)
	return nil
}

// SetWriteDeadline implements net.Conn. A write that did not fit in time leaves
// the connection unusable, as it does with TLS.
func (c *hijackedConn) SetWriteDeadline(at time.Time) error {
	c.exchange.writeDeadline.set(at, c.exchange.interruptSend)
	return nil
}

// addr is the address of the other end of a hijacked connection.
type addr string

func (addr) Network() string  { return "culvert" }
func (a addr) String() string { return string(a) }

// rawResponse reads a response of HTTP/1.1 that a handler writes on its hijacked
// connection instead of upgrading, and sends it as frames.
type rawResponse struct {
	*io.PipeWriter
	done chan error
}

func newRawResponse(e *exchange) *rawResponse {
	reader, writer := io.Pipe()
	raw := &rawResponse{PipeWriter: writer, done: make(chan error, 1)}
	go func() {
		err := copyRawResponse(e, reader)
		_ = reader.CloseWithError(errors.Join(err, io.ErrClosedPipe))
		raw.done <- err
		close(raw.done)
	}()
	return raw
}

func (r *rawResponse) finish() error {
	_ = r.Close()
	return <-r.done
}

// cut ends the response where it is, unless it has ended.
func (r *rawResponse) cut() error {
	_ = r.CloseWithError(io.ErrUnexpectedEOF)
	return <-r.done
}

func copyRawResponse(e *exchange, from io.Reader) error {
	response, err := http.ReadResponse(bufio.NewReader(from), e.request)
	if err != nil {
		e.fail(&Error{Cause: culvertv1.Cause_CAUSE_HANDLER_FAILED, Err: err})
		return err
	}
	defer func() { _ = response.Body.Close() }()
	head := &culvertv1.ResponseHead{Status: uint32(response.StatusCode), Headers: encodeFields(responseHeader, response.Header)}
	if err := e.send(&culvertv1.ResponseFrame{Head: head}); err != nil {
		return err
	}
	buffer := largeBuffers.Get().(*[largeBuffer]byte)
	defer largeBuffers.Put(buffer)
	for {
		n, err := response.Body.Read(buffer[:])
		if n > 0 {
			if err := e.send(&culvertv1.ResponseFrame{Data: buffer[:n]}); err != nil {
				return err
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			return e.send(&culvertv1.ResponseFrame{End: true, Trailers: encodeFields(trailerSection, response.Trailer)})
		case err != nil:
			e.fail(&Error{Cause: culvertv1.Cause_CAUSE_RESPONSE_TRUNCATED, Err: err})
			return err
		}
	}
}
