// Package framing follows streams of frames as they pass by, in pieces of any size.
package framing

import "encoding/binary"

// Layout is that of the frames of a stream: each begins with a header of so many
// bytes that says how many follow it.
type Layout struct {
	header int
	length func(header *[maxHeader]byte) int64
}

const maxHeader = 9

// Layouts of frames.
var (
	// HTTP2 is that of RFC 9113 § 4.1.
	HTTP2 = &Layout{9, func(h *[maxHeader]byte) int64 { return int64(binary.BigEndian.Uint32(h[:]) >> 8) }}
	// Envelopes is that of the messages of gRPC, gRPC-Web and Connect: flags, and the
	// length in four bytes.
	Envelopes = &Layout{5, func(h *[maxHeader]byte) int64 { return int64(binary.BigEndian.Uint32(h[1:])) }}
	// TLS is that of the records of RFC 8446 § 5.1.
	TLS = &Layout{5, func(h *[maxHeader]byte) int64 { return int64(binary.BigEndian.Uint16(h[3:])) }}
)

// Track follows one stream.
type Track struct {
	// Header is that of the frame, or what has come of it, which is Have bytes; when
	// it is whole, Have is 0.
	Header [maxHeader]byte
	Have   int
	// Left is how many bytes of the frame are still to come.
	Left int64
}

// Next takes bytes until behind the header of a frame, and returns the rest. It
// reports false if none begins. The layout must be the same at each call.
func (t *Track) Next(layout *Layout, p []byte) (rest []byte, begun bool) {
	for len(p) > 0 {
		if t.Left > 0 {
			n := min(t.Left, int64(len(p)))
			t.Left -= n
			p = p[n:]
			continue
		}
		n := copy(t.Header[t.Have:layout.header], p)
		p = p[n:]
		if t.Have += n; t.Have == layout.header {
			t.Have = 0
			t.Left = layout.length(&t.Header)
			return p, true
		}
	}
	return nil, false
}

// Between reports whether a frame has ended, and nothing of the next has come.
func (t *Track) Between() bool { return t.Have == 0 && t.Left == 0 }
