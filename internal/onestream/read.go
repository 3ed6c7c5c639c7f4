package onestream

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"golang.org/x/net/http2"
)

// data is where the DATA of the response is, and what the server may still send.
type data struct {
	left, padding int  // of the frame that is being read
	last          bool // it is the last
	ended         bool // all was read
	length        int64
	hasLength     bool // the head says how many bytes the body has left: length

	stream, conn       int64 // what the server may send
	streamDue, connDue int64 // what was read, and not given back yet
	streamAt, connAt   int64 // from which on it is
}

// creditShare is which part of a window goes back at once.
const creditShare = 8

func (d *data) init(config *Config) {
	d.stream, d.conn = int64(config.StreamWindow), int64(max(config.ConnWindow, initialWindow))
	d.streamAt, d.connAt = d.stream/creditShare, d.conn/creditShare
}

// frame is the header of one.
type frame struct {
	length int
	kind   http2.FrameType
	flags  http2.Flags
	stream uint32
}

// Read implements io.Reader, for the body of the response.
func (c *conn) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for c.data.left == 0 {
		if c.data.ended {
			return 0, io.EOF
		}
		if err := c.step(); err != nil {
			return 0, err
		}
	}
	n, err := c.input.read(p[:min(len(p), c.data.left)])
	if err != nil {
		return 0, c.lost(err)
	}
	c.data.due(n)
	if c.data.left -= n; c.data.left == 0 {
		err = c.endData()
	} else {
		err = c.giveBack()
	}
	if err != nil {
		return n, c.lost(err)
	}
	return n, nil
}

// step reads a frame, but for the payload of DATA.
func (c *conn) step() error {
	if err := c.stepFrame(); err != nil {
		return c.lost(err)
	}
	return nil
}

// lost ends everything with an error of reading.
func (c *conn) lost(err error) error {
	c.mu.Lock()
	away := c.away
	c.mu.Unlock()
	code := http2.ErrCodeNo
	var broke *violation
	switch {
	case errors.As(err, &broke):
		code = broke.code
	case away != nil && !errors.Is(err, ErrNotProcessed):
		err = fmt.Errorf("%w: server went away (%v) %q", eofIsUnexpected(err), away.code, away.debug)
	default:
		err = eofIsUnexpected(err)
	}
	return c.fail(err, code)
}

func eofIsUnexpected(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

func (c *conn) stepFrame() error {
	f, err := c.frameHeader()
	if err != nil {
		return err
	}
	if !c.greeted && (f.kind != http2.FrameSettings || f.flags.Has(http2.FlagSettingsAck)) {
		return violated(http2.ErrCodeProtocol, "it does not begin with SETTINGS")
	}
	switch f.kind {
	case http2.FrameData:
		return c.takeData(f)
	case http2.FrameHeaders:
		return c.takeHeaders(f)
	case http2.FrameSettings:
		return c.takeSettings(f)
	case http2.FrameWindowUpdate:
		return c.takeCredit(f)
	case http2.FramePing:
		return c.takePing(f)
	case http2.FrameRSTStream:
		return c.takeReset(f)
	case http2.FrameGoAway:
		return c.takeGoAway(f)
	case http2.FramePushPromise, http2.FrameContinuation:
		return violated(http2.ErrCodeProtocol, "a frame of type %v where there can be none", f.kind)
	default:
		return c.input.skip(f.length)
	}
}

func (c *conn) frameHeader() (frame, error) {
	header, err := c.input.take(frameHeader)
	if err != nil {
		return frame{}, err
	}
	f := frame{
		length: int(binary.BigEndian.Uint32(header) >> 8),
		kind:   http2.FrameType(header[3]),
		flags:  http2.Flags(header[4]),
		stream: binary.BigEndian.Uint32(header[5:]) &^ (1 << 31),
	}
	if f.length > c.config.MaxFrame {
		return f, violated(http2.ErrCodeFrameSize, "a frame of %d bytes, %d are allowed", f.length, c.config.MaxFrame)
	}
	return f, nil
}

// ofStream returns an error unless a frame is of the request.
func (f *frame) ofStream() error {
	if f.stream != streamID {
		return violated(http2.ErrCodeProtocol, "a frame of type %v of stream %d", f.kind, f.stream)
	}
	return nil
}

// ofConn returns an error unless a frame is of the connection.
func (f *frame) ofConn() error {
	if f.stream != 0 {
		return violated(http2.ErrCodeProtocol, "a frame of type %v of stream %d", f.kind, f.stream)
	}
	return nil
}

// hasLength returns an error unless a frame has so many bytes.
func (f *frame) hasLength(n int) error {
	if f.length != n {
		return violated(http2.ErrCodeFrameSize, "a frame of type %v of %d bytes", f.kind, f.length)
	}
	return nil
}

// unpad takes how much padding a frame has, and that away from its length.
func (c *conn) unpad(f *frame) (padding int, err error) {
	if !f.flags.Has(http2.FlagDataPadded) {
		return 0, nil
	}
	if f.length == 0 {
		return 0, violated(http2.ErrCodeFrameSize, "padding in no bytes")
	}
	size, err := c.input.take(1)
	if err != nil {
		return 0, err
	}
	padding = int(size[0])
	if f.length -= 1 + padding; f.length < 0 {
		return 0, violated(http2.ErrCodeProtocol, "padding is longer than its frame")
	}
	return padding, nil
}

func (c *conn) takeData(f frame) error {
	d := &c.data
	if err := f.ofStream(); err != nil {
		return err
	}
	if c.response == nil {
		return violated(http2.ErrCodeProtocol, "DATA before the head")
	}
	if d.stream -= int64(f.length); d.stream < 0 {
		return violated(http2.ErrCodeFlowControl, "more than the stream's window")
	}
	if d.conn -= int64(f.length); d.conn < 0 {
		return violated(http2.ErrCodeFlowControl, "more than the connection's window")
	}
	whole := f.length
	padding, err := c.unpad(&f)
	if err != nil {
		return err
	}
	if d.hasLength {
		if d.length -= int64(f.length); d.length < 0 {
			return violated(http2.ErrCodeProtocol, "more DATA than the Content-Length")
		}
	}
	d.left, d.padding, d.last = f.length, padding, f.flags.Has(http2.FlagDataEndStream)
	d.due(whole - f.length)
	if f.length == 0 {
		return c.endData()
	}
	return nil
}

// endData is the end of a DATA frame.
func (c *conn) endData() error {
	if err := c.input.skip(c.data.padding); err != nil {
		return err
	}
	c.data.padding = 0
	if c.data.last {
		return c.endResponse()
	}
	return c.giveBack()
}

// endResponse is the end of the response.
func (c *conn) endResponse() error {
	if c.data.hasLength && c.data.length > 0 {
		return violated(http2.ErrCodeProtocol, "%d bytes less of DATA than the Content-Length", c.data.length)
	}
	c.data.ended = true
	_ = c.fail(errOver, http2.ErrCodeNo)
	return nil
}

// due says that n bytes were read.
func (d *data) due(n int) {
	d.streamDue += int64(n)
	d.connDue += int64(n)
}

// giveBack gives the server credit for what was read, when there is enough of it.
func (c *conn) giveBack() error {
	d := &c.data
	var frames []byte
	if d.streamDue >= d.streamAt {
		frames = appendFrame(frames, http2.FrameWindowUpdate, 0, streamID, uint32(d.streamDue)) //nolint:gosec // not more than the window
		d.stream += d.streamDue
		d.streamDue = 0
	}
	if d.connDue >= d.connAt {
		frames = appendFrame(frames, http2.FrameWindowUpdate, 0, 0, uint32(d.connDue)) //nolint:gosec // as above
		d.conn += d.connDue
		d.connDue = 0
	}
	if frames == nil {
		return nil
	}
	return c.answer(frames)
}
