package culvert

import (
	"context"
	"encoding/binary"
	"net"

	"golang.org/x/net/http2"

	"github.com/culvert-http/culvert/internal/framing"
)

// creditConn is a connection of HTTP/2 whose client gives the server credit in
// large pieces. net/http's client has two WINDOW_UPDATE frames written for every
// 4 KiB that are read of a response, at once; for what is read in bulk they are
// more system calls at both ends than all of the data takes.
//
// It knows net/http's client: its preface comes first, one goroutine writes at a
// time, and what it flushes are whole frames.
type creditConn struct {
	net.Conn
	streamMost, connMost uint32 // how much is held back

	written framing.Track
	conn    uint32 // held back
	streams map[uint32]uint32
	updates []byte // to be sent
}

const (
	http2FrameHeader   = 9
	windowUpdateLength = http2FrameHeader + 4
	// maxHeldStreams is for how many streams credit is held back. It is not known
	// here which of them have ended.
	maxHeldStreams = 64
)

// holdCredit has the connections that dial opens give credit when an eighth of a
// window has been read.
func holdCredit(dial DialFunc, streamWindow, connWindow int) DialFunc {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return &creditConn{
			Conn:       conn,
			streamMost: uint32(streamWindow / 8), //nolint:gosec // the options bound them
			connMost:   uint32(connWindow / 8),   //nolint:gosec // as above
			written:    framing.Track{Left: int64(len(http2.ClientPreface))},
			streams:    make(map[uint32]uint32),
		}, nil
	}
}

// Write implements net.Conn.
func (c *creditConn) Write(p []byte) (int, error) {
	if !c.written.Between() || !onlyCredit(p) {
		for rest, begun := c.written.Next(framing.HTTP2, p); begun; {
			rest, begun = c.written.Next(framing.HTTP2, rest)
		}
		return c.Conn.Write(p)
	}
	full := false
	for rest := p; len(rest) > 0; rest = rest[windowUpdateLength:] {
		stream, credit := binary.BigEndian.Uint32(rest[5:]), binary.BigEndian.Uint32(rest[http2FrameHeader:])
		if stream == 0 {
			c.conn += credit
			full = full || c.conn >= c.connMost
			continue
		}
		held := c.streams[stream] + credit
		c.streams[stream] = held
		full = full || held >= c.streamMost
	}
	if full || len(c.streams) > maxHeldStreams {
		if err := c.give(); err != nil {
			return 0, err
		}
	}
	return len(p), nil
}

// onlyCredit reports whether p is WINDOW_UPDATE frames and nothing else.
func onlyCredit(p []byte) bool {
	if len(p)%windowUpdateLength != 0 {
		return false
	}
	for ; len(p) > 0; p = p[windowUpdateLength:] {
		if binary.BigEndian.Uint32(p) != 4<<8|uint32(http2.FrameWindowUpdate) {
			return false
		}
	}
	return true
}

// give sends the credit that was held back.
func (c *creditConn) give() error {
	updates := appendCredit(c.updates[:0], 0, c.conn)
	for stream, credit := range c.streams {
		updates = appendCredit(updates, stream, credit)
	}
	c.updates = updates
	c.conn = 0
	clear(c.streams)
	_, err := c.Conn.Write(updates)
	return err
}

func appendCredit(b []byte, stream, credit uint32) []byte {
	if credit == 0 {
		return b
	}
	b = append(b, 0, 0, 4, byte(http2.FrameWindowUpdate), 0)
	b = binary.BigEndian.AppendUint32(b, stream)
	return binary.BigEndian.AppendUint32(b, credit)
}
