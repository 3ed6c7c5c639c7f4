package onestream_test

import (
	"bytes"
	"io"
	"net"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/culvert-http/culvert/internal/onestream"
)

// replay is a connection on which a server has said all that it says.
type replay struct {
	net.Conn
	from *bytes.Reader
}

// Read implements net.Conn.
func (r *replay) Read(p []byte) (int, error) { return r.from.Read(p) }

// Write implements net.Conn.
func (r *replay) Write(p []byte) (int, error) { return len(p), nil }

// SetReadDeadline implements net.Conn.
func (r *replay) SetReadDeadline(time.Time) error { return nil }

// Close implements net.Conn.
func (r *replay) Close() error { return nil }

// Whatever a server sends, the request ends, and not with more than was sent.
func FuzzServer(f *testing.F) {
	var answer, fields bytes.Buffer
	framer := http2.NewFramer(&answer, nil)
	framer.AllowIllegalWrites = true
	encoder := hpack.NewEncoder(&fields)
	_ = framer.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 20}, http2.Setting{ID: http2.SettingMaxFrameSize, Val: 1 << 20})
	_ = framer.WriteSettingsAck()
	_ = framer.WriteWindowUpdate(0, 1000)
	_ = framer.WritePing(false, [8]byte{})
	f.Add(bytes.Clone(answer.Bytes()))
	_ = encoder.WriteField(hpack.HeaderField{Name: ":status", Value: "200"})
	_ = encoder.WriteField(hpack.HeaderField{Name: "a", Value: "bcd"})
	_ = framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: fields.Bytes()[:1], PadLength: 3})
	_ = framer.WriteContinuation(1, true, fields.Bytes()[1:])
	_ = framer.WriteDataPadded(1, false, []byte("hello"), []byte{0, 0})
	f.Add(bytes.Clone(answer.Bytes()))
	for _, end := range []func(){
		func() { _ = framer.WriteData(1, true, []byte("end")) },
		func() { _ = framer.WriteRSTStream(1, http2.ErrCodeCancel) },
		func() { _ = framer.WriteGoAway(0, http2.ErrCodeNo, []byte("debug")) },
		func() {
			_ = framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: []byte("\x40\x01a\x01b"), EndHeaders: true, EndStream: true})
		},
	} {
		before := answer.Len()
		end()
		f.Add(bytes.Clone(answer.Bytes()))
		answer.Truncate(before)
	}
	request := newRequest(f)
	f.Fuzz(func(t *testing.T, said []byte) {
		conn := &replay{from: bytes.NewReader(said)}
		body := newPieces("hello", "", string(make([]byte, 100_000)))
		response, err := onestream.RoundTrip(conn, request, body, config())
		if err == nil {
			if response.StatusCode < 200 || response.StatusCode > 999 {
				t.Errorf("status %d", response.StatusCode)
			}
			var n int64
			n, err = io.Copy(io.Discard, response.Body)
			if n > int64(len(said)) {
				t.Errorf("%d bytes of %d", n, len(said))
			}
			_ = response.Body.Close()
			if err == nil && !isWhole(said) {
				t.Error("a response that has no end has one")
			}
		}
		<-body.closed
	})
}

// isWhole reports whether there is a frame with END_STREAM in what a server has
// said.
func isWhole(said []byte) bool {
	framer := http2.NewFramer(io.Discard, bytes.NewReader(said))
	framer.AllowIllegalReads = true
	framer.SetMaxReadFrameSize(1<<24 - 1)
	for {
		frame, err := framer.ReadFrame()
		if err != nil {
			return false
		}
		switch header := frame.Header(); header.Type { //nolint:exhaustive // the others have no such flag
		case http2.FrameData, http2.FrameHeaders:
			if header.Flags.Has(http2.FlagDataEndStream) {
				return true
			}
		}
	}
}
