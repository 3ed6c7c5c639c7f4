package siege

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// pause is what a slow attacker lets pass between two bytes. Benchmarks have a
// longer one: real attackers take seconds.
var pause = 5 * time.Millisecond

// peer is an attacker's connection. Whatever blocks on it ends with its context.
type peer struct {
	net.Conn
	below  net.Conn        // of TLS
	ctx    context.Context //nolint:containedctx // of the attack
	stop   func() bool
	framer *http2.Framer
	next   uint32 // stream
}

// dialPeer connects, with a small receive buffer, so that what is not read soon
// fills it.
func dialPeer(ctx context.Context, f *front, protocols ...string) (*peer, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", f.addr)
	if err != nil {
		return nil, err
	}
	_ = conn.(*net.TCPConn).SetReadBuffer(4 << 10)
	p := &peer{Conn: conn, below: conn, ctx: ctx, next: 1}
	p.stop = context.AfterFunc(ctx, func() { _ = conn.Close() })
	if f.trust != nil {
		config := f.trust.Clone()
		config.NextProtos = protocols
		secured := tls.Client(conn, config)
		if err := secured.HandshakeContext(ctx); err != nil {
			return nil, p.end(err)
		}
		p.Conn = secured
	}
	return p, nil
}

// Close closes the connection without a word: one of TLS would wait for somebody to
// read it.
func (p *peer) Close() error { return p.below.Close() }

// dialHTTP2 connects and begins HTTP/2.
func dialHTTP2(ctx context.Context, f *front, settings ...http2.Setting) (*peer, error) {
	p, err := dialPeer(ctx, f, http2.NextProtoTLS)
	if err != nil {
		return nil, err
	}
	p.framer = http2.NewFramer(p, p)
	if _, err := io.WriteString(p, http2.ClientPreface); err != nil {
		return nil, p.end(err)
	}
	if err := p.framer.WriteSettings(settings...); err != nil {
		return nil, p.end(err)
	}
	return p, nil
}

// end closes the connection, and passes an error on.
func (p *peer) end(err error) error {
	p.stop()
	_ = p.Close()
	return err
}

// wait lets some time pass, and reports whether the attack goes on.
func (p *peer) wait() bool {
	select {
	case <-p.ctx.Done():
		return false
	case <-time.After(pause):
		return true
	}
}

// untilClosed reads what comes until the server closes the connection.
func (p *peer) untilClosed() error {
	_, err := io.Copy(io.Discard, p.Conn)
	return err
}

// http1 is a request of HTTP/1.1. Length less than 0 means chunks.
func (r rawRequest) http1(length int) string {
	var head strings.Builder
	fmt.Fprintf(&head, "%s %s HTTP/1.1\r\nHost: localhost\r\n", r.method, r.path)
	if r.contentType != "" {
		fmt.Fprintf(&head, "Content-Type: %s\r\n", r.contentType)
	}
	switch {
	case length > 0:
		fmt.Fprintf(&head, "Content-Length: %d\r\n", length)
	case length < 0:
		head.WriteString("Transfer-Encoding: chunked\r\n")
	}
	return head.String() + "\r\n"
}

// block is the header block of a request of HTTP/2.
func (r rawRequest) block() []byte {
	var block bytes.Buffer
	encoder := hpack.NewEncoder(&block)
	fields := [][2]string{
		{":method", r.method}, {":scheme", "http"}, {":authority", "localhost"}, {":path", r.path}, {"te", "trailers"},
	}
	if r.contentType != "" {
		fields = append(fields, [2]string{"content-type", r.contentType})
	}
	for _, field := range fields {
		_ = encoder.WriteField(hpack.HeaderField{Name: field[0], Value: field[1]}) // to a buffer
	}
	return block.Bytes()
}

// open opens a stream with a request, whose body ends with it if it is to end.
func (p *peer) open(r rawRequest, end bool) (uint32, error) {
	id := p.next
	p.next += 2
	endStream := end && len(r.body) == 0
	err := p.framer.WriteHeaders(http2.HeadersFrameParam{
		StreamID: id, BlockFragment: r.block(), EndHeaders: true, EndStream: endStream,
	})
	if err == nil && len(r.body) > 0 {
		err = p.framer.WriteData(id, end, r.body)
	}
	return id, err
}

// untilEnd reads until the server ends or resets a stream, or closes the
// connection.
func (p *peer) untilEnd() error {
	for {
		frame, err := p.framer.ReadFrame()
		if err != nil {
			return err
		}
		switch frame := frame.(type) {
		case *http2.RSTStreamFrame:
			return nil
		case *http2.HeadersFrame:
			if frame.StreamEnded() {
				return nil
			}
		case *http2.DataFrame:
			if frame.StreamEnded() {
				return nil
			}
		case *http2.PingFrame:
			if frame.IsAck() {
				continue
			}
			if err := p.framer.WritePing(true, frame.Data); err != nil {
				return err
			}
		}
	}
}
