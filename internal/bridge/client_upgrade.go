package bridge

import (
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	culvertv1 "github.com/culvert-http/culvert/api/culvert/v1"
)

// lingerTimeout bounds how long a closed connection may take to send what was
// written to it.
const lingerTimeout = 500 * time.Millisecond

// switchProtocols makes the response whose body is a connection. The request's
// context has no more to say.
func (x *clientExchange) switchProtocols(resp *http.Response) (*http.Response, *Error) {
	if !x.unwatch() {
		return nil, contextError(x.ctx)
	}
	resp.Header["Connection"] = []string{"Upgrade"}
	resp.Header["Upgrade"] = []string{x.frames.frame.GetHead().GetUpgrade()}
	resp.ContentLength = 0
	delete(resp.Header, "Content-Length")
	resp.Trailer = nil
	resp.Body = &clientUpgrade{exchange: x, data: x.frames.frame.GetData()}
	return resp, nil
}

// clientUpgrade is what is left of an exchange that has switched protocols: a
// connection. Reads, writes and Close may run at the same time.
type clientUpgrade struct {
	exchange *clientExchange
	closed   atomic.Bool

	readMu  sync.Mutex // guards data and readErr
	data    []byte
	readErr error

	writeMu sync.Mutex // guards frame and ended
	frame   culvertv1.RequestFrame
	ended   bool
}

var _ io.ReadWriteCloser = (*clientUpgrade)(nil)

// Read implements io.Reader.
func (c *clientUpgrade) Read(p []byte) (int, error) {
	c.readMu.Lock()
	defer c.readMu.Unlock()
	if len(p) == 0 {
		return 0, nil
	}
	for {
		switch {
		case c.closed.Load(): // what is left may be overwritten
			return 0, http.ErrBodyReadAfterClose
		case len(c.data) > 0:
			n := copy(p, c.data)
			c.data = c.data[n:]
			return n, nil
		case c.readErr != nil:
			return 0, c.readErr
		}
		c.receive()
	}
}

func (c *clientUpgrade) receive() {
	frames := &c.exchange.frames
	if frames.ended {
		c.readErr = io.EOF
		return
	}
	if err := frames.next(); err != nil {
		c.readErr = cutShort(c.exchange.explain(err))
		return
	}
	c.data = frames.frame.GetData()
}

// Write implements io.Writer.
func (c *clientUpgrade) Write(p []byte) (int, error) {
	c.writeMu.Lock()
	defer c.writeMu.Unlock()
	written := 0
	for written < len(p) {
		if c.ended || c.closed.Load() {
			return written, io.ErrClosedPipe
		}
		part := p[written:min(written+MaxData, len(p))]
		c.frame.Data = part
		err := c.exchange.stream.Send(&c.frame)
		c.frame.Data = nil
		if err == io.EOF {
			return written, io.ErrClosedPipe // reading tells why
		}
		if err != nil {
			return written, c.exchange.explain(err)
		}
		written += len(part)
	}
	return written, nil
}

// CloseWrite ends the direction to the server.
func (c *clientUpgrade) CloseWrite() error {
	c.writeMu.Lock()
	defer c.writeMu.Unlock()
	if c.ended {
		return nil
	}
	c.ended = true
	c.frame.End = true
	err := c.exchange.stream.Send(&c.frame)
	if err == nil {
		err = c.exchange.stream.CloseSend()
	}
	if err == io.EOF {
		return io.ErrClosedPipe
	}
	return err
}

// Close implements io.Closer. As with a TCP connection, what was written is sent
// still, and what comes is thrown away. It does not wait for that.
func (c *clientUpgrade) Close() error {
	if !c.closed.Swap(true) {
		go c.linger()
	}
	return nil
}

// Abort closes the connection so that the other side sees that it was cut, and
// does not take what it has for all there is.
func (c *clientUpgrade) Abort() {
	if !c.closed.Swap(true) {
		_ = c.exchange.abort(&Error{Cause: culvertv1.Cause_CAUSE_CANCELED, Err: net.ErrClosed})
		c.exchange.release()
	}
}

// linger ends both directions, one after the other.
func (c *clientUpgrade) linger() {
	defer c.exchange.release()
	defer time.AfterFunc(lingerTimeout, c.exchange.stream.Interrupt).Stop()
	if c.CloseWrite() != nil {
		return
	}
	c.readMu.Lock()
	defer c.readMu.Unlock()
	for c.exchange.frames.next() == nil {
	}
}
