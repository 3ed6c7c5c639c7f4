// Package onestream is a client of HTTP/2 [RFC 9113] for connections that carry a
// single request each, which streams both ways for long.
//
// net/http's client has a goroutine that reads a connection and hands what comes to
// those who wait for it, through a pipe for each. Here whoever reads the response
// reads the connection, and what is to be sent is written from where it is.
package onestream

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/http2"
)

// Config is what a connection takes. All fields but those of pings must be set.
type Config struct {
	// StreamWindow and ConnWindow are how much the server may send that was not read
	// yet, in bytes: at least 64 KiB and less than 2 GiB.
	StreamWindow, ConnWindow int
	// MaxFrame bounds the frames that the server may send, in bytes: 16 KiB to 16 MiB.
	MaxFrame int
	// MaxHeaderBytes bounds the head of the response, with those before it, and its
	// trailers: the bytes of all names and values, and 32 for each field.
	MaxHeaderBytes int
	// PingInterval is after how much silence it is tried whether the server is still
	// there, PingTimeout how long it may take to answer. An interval of 0 turns that
	// off.
	PingInterval, PingTimeout time.Duration
}

// Headroom is how many bytes before each piece of a body are free.
const Headroom = frameHeader

// Pieces are the body of a request.
type Pieces interface {
	// Next waits for the next piece, before which Headroom bytes are free, and which
	// may be overwritten. It is valid until the next call. io.EOF is the end of the
	// body; any other error cancels the request.
	Next() ([]byte, error)
	// Close ends Next, now and from then on. It may be called at any time, more than
	// once, and must not block.
	Close() error
}

// ErrNotProcessed is the error of a request of which the server says that nothing
// was done [RFC 9113 § 8.7].
var ErrNotProcessed = errors.New("server did not process the request")

var (
	errClosed = errors.New("http2: response body closed")
	errSilent = errors.New("http2: server does not answer a ping")
	errOver   = errors.New("http2: the response has ended")
)

// conn is a connection and its request.
type conn struct {
	conn   net.Conn
	config *Config
	body   Pieces

	input    input // this and what follows is of the one who reads
	greeted  bool  // the first SETTINGS have come
	head     head
	response *http.Response
	data     data

	writes chan struct{} // has one while conn is written to

	mu       sync.Mutex // guards what follows
	err      error      // why all is over
	sendable sync.Cond  // the one who waits for credit
	credit   credit     // the server's, to send
	control  []byte     // frames that wait to be sent
	flushing bool       // someone is about to send them
	away     *goAway
	pinger   *time.Timer
	pinged   bool // and nothing has come since

	release func() bool // the context
	began   time.Time
	heard   atomic.Int64 // when something came last, since began
}

// RoundTrip sends a request over a connection on which nothing was sent yet, and
// returns when its response begins. It does not use the request's Body, nor its
// Trailer. The head goes out with the first piece of the body.
//
// The connection is closed when the response was read to its end, when the context
// of the request ends, when the body of the response is closed, and with any error.
// Errors of streams are [http2.StreamError], as net/http's are in text.
func RoundTrip(transport net.Conn, request *http.Request, body Pieces, config *Config) (*http.Response, error) {
	c := &conn{conn: transport, config: config, body: body, writes: make(chan struct{}, 1), began: time.Now()}
	c.sendable.L = &c.mu
	c.input.from = c
	c.credit = credit{stream: initialWindow, conn: initialWindow, initial: initialWindow, frame: minMaxFrame}
	c.data.init(config)
	c.head.init(config)
	ctx := request.Context()
	c.release = context.AfterFunc(ctx, func() { c.cancel(ctx.Err()) })
	if config.PingInterval > 0 {
		c.mu.Lock()
		c.pinger = time.AfterFunc(config.PingInterval, c.listen)
		c.mu.Unlock()
	}
	if err := c.begin(request); err != nil {
		return nil, c.fail(err, http2.ErrCodeInternal)
	}
	if err := c.awaitHead(); err != nil {
		return nil, err
	}
	c.response.Request = request
	c.response.Body = c
	return c.response, nil
}

// begin sends the preface, and the request with the first piece of its body. The
// rest has a goroutine.
func (c *conn) begin(request *http.Request) error {
	var first bytes.Buffer
	first.WriteString(http2.ClientPreface)
	c.writeSettings(&first)
	if err := writeHead(&first, request); err != nil {
		return err
	}
	piece, err := c.body.Next()
	if err != nil && err != io.EOF {
		return err
	}
	rest := []byte(nil)
	if err == nil {
		n := c.reserveNow(len(piece) - Headroom)
		frame := piece[:Headroom+n]
		putFrameHeader(frame, n, http2.FrameData, 0)
		first.Write(frame)
		rest = piece[n:]
	}
	if err := c.writeFrames(first.Bytes()); err != nil {
		return err
	}
	go c.write(rest, err)
	return nil
}

// awaitHead reads until the head of the response is there.
func (c *conn) awaitHead() error {
	for c.response == nil {
		if err := c.step(); err != nil {
			return err
		}
	}
	return nil
}

// fail ends everything with an error, if nothing has before, and returns what has.
// The server is told the code of the error.
func (c *conn) fail(err error, code http2.ErrCode) error {
	c.mu.Lock()
	if c.err != nil {
		defer c.mu.Unlock()
		return c.err
	}
	c.err = err
	c.sendable.Broadcast()
	if c.pinger != nil {
		c.pinger.Stop()
	}
	c.mu.Unlock()
	c.release()
	_ = c.body.Close()
	_ = c.conn.SetReadDeadline(inThePast) // wakes the one who reads
	go c.leave(code)
	return err
}

var inThePast = time.Unix(1, 0)

// farewellTime bounds how long it takes to tell a server why a connection ends.
const farewellTime = 100 * time.Millisecond

// leave tells the server why the connection ends, unless nothing can be written,
// and closes it.
func (c *conn) leave(code http2.ErrCode) {
	if code != http2.ErrCodeInternal {
		late := time.AfterFunc(farewellTime, func() { _ = c.conn.Close() })
		_ = c.writeFrames(farewell(code))
		late.Stop()
	}
	_ = c.conn.Close()
}

// farewell is the frames that end a connection.
func farewell(code http2.ErrCode) []byte {
	var frames []byte
	if code == http2.ErrCodeCancel {
		frames = appendFrame(frames, http2.FrameRSTStream, 0, streamID, uint32(code))
		code = http2.ErrCodeNo
	}
	return appendFrame(frames, http2.FrameGoAway, 0, 0, 0, uint32(code))
}

// cancel ends the request.
func (c *conn) cancel(err error) { _ = c.fail(err, http2.ErrCodeCancel) }

// Close implements io.Closer, for the body of the response.
func (c *conn) Close() error {
	c.cancel(errClosed)
	return nil
}
