package clients

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	culvertv1 "github.com/culvert-http/culvert/api/culvert/v1"
	"github.com/culvert-http/culvert/internal/oracle"
)

// dialer returns what gives HTTP clients connections that are exchanges. They
// write one request to upgrade, and read its response, as HTTP/1.1.
func dialer(tb testing.TB, service oracle.Service) func(context.Context, string, string) (net.Conn, error) {
	tb.Helper()
	return func(context.Context, string, string) (net.Conn, error) {
		stream, err := service.Exchange(testContext(tb))
		if err != nil {
			return nil, err
		}
		return &streamConn{stream: stream}, nil
	}
}

// streamConn is a client's connection over an exchange.
type streamConn struct {
	stream oracle.Stream

	writing sync.Mutex
	head    bytes.Buffer // of the request, until it is complete
	begun   bool

	in    bytes.Buffer
	ended bool
}

// Write implements net.Conn.
func (c *streamConn) Write(p []byte) (int, error) {
	c.writing.Lock()
	defer c.writing.Unlock()
	if c.begun {
		return len(p), c.stream.Send(&culvertv1.RequestFrame{Data: p})
	}
	c.head.Write(p)
	if !bytes.HasSuffix(c.head.Bytes(), []byte("\r\n\r\n")) {
		return len(p), nil
	}
	request, err := http.ReadRequest(bufio.NewReader(&c.head))
	if err != nil {
		return 0, err
	}
	c.begun = true
	head := &culvertv1.RequestHead{Authority: request.Host, Path: request.RequestURI, Upgrade: request.Header.Get("Upgrade")}
	for name, values := range request.Header {
		for _, value := range values {
			if name != "Connection" && name != "Upgrade" {
				head.Headers = append(head.Headers, &culvertv1.Field{Name: name, Value: value})
			}
		}
	}
	return len(p), c.stream.Send(&culvertv1.RequestFrame{Head: head})
}

// Read implements net.Conn.
func (c *streamConn) Read(p []byte) (int, error) {
	for c.in.Len() == 0 {
		if c.ended {
			return 0, io.EOF
		}
		frame, err := c.stream.Receive()
		if err != nil {
			if err == io.EOF { // there was no end
				err = io.ErrUnexpectedEOF
			}
			return 0, err
		}
		if head := frame.GetHead(); head != nil {
			c.takeHead(head)
		}
		c.in.Write(frame.GetData())
		c.ended = frame.GetEnd()
	}
	return c.in.Read(p)
}

func (c *streamConn) takeHead(head *culvertv1.ResponseHead) {
	fmt.Fprintf(&c.in, "HTTP/1.1 %d %s\r\n", head.GetStatus(), http.StatusText(int(head.GetStatus())))
	for _, field := range head.GetHeaders() {
		fmt.Fprintf(&c.in, "%s: %s\r\n", field.GetName(), field.GetValue())
	}
	if upgrade := head.GetUpgrade(); upgrade != "" {
		fmt.Fprintf(&c.in, "Connection: Upgrade\r\nUpgrade: %s\r\n", upgrade)
	}
	c.in.WriteString("\r\n")
}

// CloseWrite ends the client's direction.
func (c *streamConn) CloseWrite() error {
	c.writing.Lock()
	defer c.writing.Unlock()
	if err := c.stream.Send(&culvertv1.RequestFrame{End: true}); err != nil {
		return err
	}
	return c.stream.CloseSend()
}

// Close implements net.Conn.
func (c *streamConn) Close() error {
	c.stream.Close()
	return nil
}

// LocalAddr implements net.Conn.
func (c *streamConn) LocalAddr() net.Addr { return streamAddr{} }

// RemoteAddr implements net.Conn.
func (c *streamConn) RemoteAddr() net.Addr { return streamAddr{} }

// SetDeadline implements net.Conn. The context of the exchange bounds it.
func (c *streamConn) SetDeadline(time.Time) error { return nil }

// SetReadDeadline implements net.Conn.
func (c *streamConn) SetReadDeadline(time.Time) error { return nil }

// SetWriteDeadline implements net.Conn.
func (c *streamConn) SetWriteDeadline(time.Time) error { return nil }

type streamAddr struct{}

func (streamAddr) Network() string { return "exchange" }
func (streamAddr) String() string  { return "exchange" }
