package onestream

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"

	"golang.org/x/net/http2"
)

// Sizes that RFC 9113 fixes, in bytes.
const (
	frameHeader   = 9
	minMaxFrame   = 16 << 10 // § 4.2
	initialWindow = 64<<10 - 1
	maxWindow     = math.MaxInt32 // § 6.9.1
	settingLength = 6
	pingLength    = 8
)

// streamID is that of the request.
const streamID = 1

// violation is what the server did against the rules.
type violation struct {
	code http2.ErrCode
	text string
}

// Error implements error.
func (v *violation) Error() string {
	return fmt.Sprintf("http2: server broke the protocol (%v): %s", v.code, v.text)
}

func violated(code http2.ErrCode, format string, args ...any) error {
	return &violation{code, fmt.Sprintf(format, args...)}
}

// putFrameHeader writes the header of a frame of the request, whose payload has n
// bytes.
func putFrameHeader(b []byte, n int, kind http2.FrameType, flags http2.Flags) {
	appendFrameHeader(b[:0], n, kind, flags, streamID)
}

func appendFrameHeader(b []byte, n int, kind http2.FrameType, flags http2.Flags, stream uint32) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(n)<<8|uint32(kind)) //nolint:gosec // a frame has less than 16 MiB
	b = append(b, byte(flags))
	return binary.BigEndian.AppendUint32(b, stream)
}

// appendFrame appends a frame whose payload is words.
func appendFrame(b []byte, kind http2.FrameType, flags http2.Flags, stream uint32, words ...uint32) []byte {
	b = appendFrameHeader(b, 4*len(words), kind, flags, stream)
	for _, word := range words {
		b = binary.BigEndian.AppendUint32(b, word)
	}
	return b
}

// writeSettings writes what the server has to know, and gives it the credit of the
// connection.
func (c *conn) writeSettings(to *bytes.Buffer) {
	settings := []http2.Setting{
		{ID: http2.SettingEnablePush, Val: 0},
		{ID: http2.SettingInitialWindowSize, Val: uint32(c.config.StreamWindow)},   //nolint:gosec // as Config bounds it
		{ID: http2.SettingMaxFrameSize, Val: uint32(c.config.MaxFrame)},            //nolint:gosec // as above
		{ID: http2.SettingMaxHeaderListSize, Val: uint32(c.config.MaxHeaderBytes)}, //nolint:gosec // as above
	}
	framer := http2.NewFramer(to, nil)
	_ = framer.WriteSettings(settings...)
	if more := c.config.ConnWindow - initialWindow; more > 0 {
		_ = framer.WriteWindowUpdate(0, uint32(more)) //nolint:gosec // as above
	}
}
