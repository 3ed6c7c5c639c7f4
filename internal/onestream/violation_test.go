package onestream_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"golang.org/x/net/http2"

	"github.com/culvert-http/culvert/internal/onestream"
)

// settle brings the response to where its body can come.
func settle(p *peer) { p.headers(false, ":status", "200") }

// What a server does against the rules ends the connection with an error that says
// so, at both ends.
func TestViolations(t *testing.T) {
	raw := func(kind http2.FrameType, flags http2.Flags, stream uint32, payload string) func(*peer) {
		return func(p *peer) { _ = p.WriteRawFrame(kind, flags, stream, []byte(payload)) }
	}
	head := func(list ...string) func(*peer) { return func(p *peer) { p.headers(false, list...) } }
	trailers := func(end bool, list ...string) func(*peer) {
		return func(p *peer) { settle(p); p.headers(end, list...) }
	}
	after := func(does func(*peer)) func(*peer) {
		return func(p *peer) { settle(p); does(p) }
	}
	protocol, frameSize, flow, compression := http2.ErrCodeProtocol, http2.ErrCodeFrameSize, http2.ErrCodeFlowControl, http2.ErrCodeCompression
	for name, row := range map[string]struct {
		does func(*peer)
		code http2.ErrCode
		text string
	}{
		"a frame that is too long":          {raw(0xbe, 0, 0, strings.Repeat("x", 32<<10+1)), frameSize, "a frame of 32769 bytes"},
		"DATA before the head":              {raw(http2.FrameData, 0, 1, "x"), protocol, "before the head"},
		"DATA of another stream":            {after(raw(http2.FrameData, 0, 3, "x")), protocol, "of stream 3"},
		"DATA of the connection":            {after(raw(http2.FrameData, 0, 0, "x")), protocol, "of stream 0"},
		"DATA whose padding is too long":    {after(raw(http2.FrameData, http2.FlagDataPadded, 1, "\x02x")), protocol, "padding is longer"},
		"DATA that is padded and empty":     {after(raw(http2.FrameData, http2.FlagDataPadded, 1, "")), frameSize, "padding in no bytes"},
		"HEADERS of another stream":         {raw(http2.FrameHeaders, http2.FlagHeadersEndHeaders, 3, "\x88"), protocol, "of stream 3"},
		"HEADERS whose padding is too long": {raw(http2.FrameHeaders, http2.FlagHeadersPadded, 1, "\x02\x88"), protocol, "padding is longer"},
		"HEADERS with half a priority":      {raw(http2.FrameHeaders, http2.FlagHeadersPriority, 1, "\x88"), frameSize, "priority"},
		"HEADERS that are no HPACK":         {raw(http2.FrameHeaders, http2.FlagHeadersEndHeaders, 1, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"), compression, ""},
		"HEADERS cut in a field":            {raw(http2.FrameHeaders, http2.FlagHeadersEndHeaders, 1, "\x48\x03"), compression, ""},
		"HEADERS without a status":          {head("a", "b"), protocol, "no :status"},
		"a status that is none":             {head(":status", "2000"), protocol, ":status"},
		"a status below 100":                {head(":status", "099"), protocol, ":status"},
		"a second status":                   {head(":status", "200", ":status", "200"), protocol, ":status"},
		"a status behind a field":           {head("a", "b", ":status", "200"), protocol, ":status"},
		"another pseudo-field":              {head(":status", "200", ":path", "/"), protocol, "the name"},
		"a name in upper case":              {head(":status", "200", "A", "b"), protocol, "the name"},
		"an empty name":                     {head(":status", "200", "", "b"), protocol, "the name"},
		"a value with a line break":         {head(":status", "200", "a", "b\nc"), protocol, "the value"},
		"a field of connections":            {head(":status", "200", "connection", "close"), protocol, "about a connection"},
		"a Content-Length that is none":     {head(":status", "200", "content-length", "x"), protocol, "Content-Length"},
		"two Content-Lengths":               {head(":status", "200", "content-length", "1", "content-length", "1"), protocol, "Content-Length"},
		"a switch of protocols":             {head(":status", "101"), protocol, "status 101"},
		"an interim response that ends":     {func(p *peer) { p.headers(true, ":status", "103") }, protocol, "status 103"},
		"a second head":                     {trailers(true, ":status", "200"), protocol, "second head"},
		"trailers that do not end it":       {trailers(false, "a", "b"), protocol, "do not end"},
		"less than the Content-Length":      {func(p *peer) { p.headers(true, ":status", "200", "content-length", "1") }, protocol, "1 bytes less"},
		"more than the Content-Length": {func(p *peer) {
			p.headers(false, ":status", "200", "content-length", "1")
			_ = p.WriteData(1, true, []byte("xx"))
		}, protocol, "more DATA"},
		"CONTINUATION of nothing":              {after(raw(http2.FrameContinuation, http2.FlagContinuationEndHeaders, 1, "\x88")), protocol, "CONTINUATION"},
		"something inside a header section":    {func(p *peer) { raw(http2.FrameHeaders, 0, 1, "\x88")(p); _ = p.WritePing(false, [8]byte{}) }, protocol, "inside a header section"},
		"CONTINUATION of another stream":       {func(p *peer) { raw(http2.FrameHeaders, 0, 1, "\x88")(p); raw(http2.FrameContinuation, 4, 3, "")(p) }, protocol, "of stream 3"},
		"a push":                               {after(raw(http2.FramePushPromise, 4, 1, "\x00\x00\x00\x02\x88")), protocol, "PUSH_PROMISE"},
		"SETTINGS of a stream":                 {raw(http2.FrameSettings, 0, 1, ""), protocol, "of stream 1"},
		"SETTINGS that are cut":                {raw(http2.FrameSettings, 0, 0, "1234567"), frameSize, "SETTINGS"},
		"an answer to SETTINGS with something": {raw(http2.FrameSettings, http2.FlagSettingsAck, 0, "123456"), frameSize, "SETTINGS"},
		"an initial window that is too large":  {raw(http2.FrameSettings, 0, 0, "\x00\x04\x80\x00\x00\x00"), flow, "initial window"},
		"frames that are too small":            {raw(http2.FrameSettings, 0, 0, "\x00\x05\x00\x00\x3f\xff"), protocol, "frames of up to"},
		"frames that are too large":            {raw(http2.FrameSettings, 0, 0, "\x00\x05\x01\x00\x00\x00"), protocol, "frames of up to"},
		"a server that may be pushed to":       {raw(http2.FrameSettings, 0, 0, "\x00\x02\x00\x00\x00\x01"), protocol, "ENABLE_PUSH"},
		"windows that grow too large": {func(p *peer) {
			raw(http2.FrameWindowUpdate, 0, 1, "\x7f\xff\x00\x00")(p)
			raw(http2.FrameSettings, 0, 0, "\x00\x04\x7f\xff\xff\xff")(p)
		}, flow, "a window of"},
		"credit of nothing":             {raw(http2.FrameWindowUpdate, 0, 1, "\x00\x00\x00\x00"), protocol, "credit of 0"},
		"too much credit":               {raw(http2.FrameWindowUpdate, 0, 0, "\x7f\xff\xff\xff"), flow, "a window of"},
		"too much credit of the stream": {raw(http2.FrameWindowUpdate, 0, 1, "\x7f\xff\xff\xff"), flow, "a window of"},
		"credit of another stream":      {raw(http2.FrameWindowUpdate, 0, 3, "\x00\x00\x00\x01"), protocol, "of stream 3"},
		"credit that is cut":            {raw(http2.FrameWindowUpdate, 0, 0, "\x00\x00\x01"), frameSize, "WINDOW_UPDATE"},
		"PING of a stream":              {raw(http2.FramePing, 0, 1, "12345678"), protocol, "of stream 1"},
		"PING that is cut":              {raw(http2.FramePing, 0, 0, "1234567"), frameSize, "PING"},
		"RST_STREAM of another stream":  {raw(http2.FrameRSTStream, 0, 3, "\x00\x00\x00\x00"), protocol, "of stream 3"},
		"RST_STREAM that is cut":        {raw(http2.FrameRSTStream, 0, 1, "\x00\x00\x00"), frameSize, "RST_STREAM"},
		"GOAWAY of a stream":            {raw(http2.FrameGoAway, 0, 1, "12345678"), protocol, "of stream 1"},
		"GOAWAY that is cut":            {raw(http2.FrameGoAway, 0, 0, "1234567"), frameSize, "GOAWAY"},
		"GOAWAY that rises":             {func(p *peer) { _ = p.WriteGoAway(1, 0, nil); _ = p.WriteGoAway(3, 0, nil) }, protocol, "it has gone at stream 1"},
		"GOAWAY that takes back":        {after(func(p *peer) { _ = p.WriteGoAway(0, 0, nil) }), protocol, "that it has answered"},
	} {
		t.Run(name, func(t *testing.T) {
			p, conn := newPeer(t)
			script(t, func() {
				p.greet()
				p.await(isType(http2.FrameData))
				row.does(p)
				if code, _ := p.awaitCode(); code != row.code {
					t.Errorf("code %v, want %v", code, row.code)
				}
			})
			_, _, err := exchange(t, conn, newPieces("x"), config())
			if err == nil || !strings.Contains(err.Error(), row.text) || !strings.Contains(err.Error(), row.code.String()) {
				t.Errorf("error %v, want %v: %s", err, row.code, row.text)
			}
		})
	}
}

// Both windows are kept.
func TestServerExceedsAWindow(t *testing.T) {
	for want, config := range map[string]*onestream.Config{
		"more than the stream's window":     {StreamWindow: 64 << 10, ConnWindow: 1 << 20, MaxFrame: 128 << 10, MaxHeaderBytes: 16 << 10},
		"more than the connection's window": {StreamWindow: 1 << 20, ConnWindow: 64 << 10, MaxFrame: 128 << 10, MaxHeaderBytes: 16 << 10},
	} {
		p, conn := newPeer(t)
		script(t, func() {
			p.greet()
			settle(p)
			_ = p.WriteData(1, false, make([]byte, 70_000))
			if code, _ := p.awaitCode(); code != http2.ErrCodeFlowControl {
				t.Errorf("code %v", code)
			}
		})
		if _, _, err := exchange(t, conn, newPieces("x"), config); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %s", err, want)
		}
	}
}

func TestServersThatDoNotBeginWithSettings(t *testing.T) {
	for _, answer := range []string{
		"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n",
		"\x00\x00\x08\x06\x00\x00\x00\x00\x0012345678",
		"\x00\x00\x00\x04\x01\x00\x00\x00\x00",
	} {
		p, conn := newPeer(t)
		if _, err := p.Conn.Write([]byte(answer)); err != nil {
			t.Fatal(err)
		}
		_, _, err := exchange(t, conn, newPieces("x"), config())
		if err == nil || !strings.Contains(err.Error(), "broke the protocol") {
			t.Errorf("%.9q: error %v", answer, err)
		}
	}
}

// The bounds of heads: of their fields, of the frames that they come in, and of
// all those before the last one together.
func TestHeadsAreBounded(t *testing.T) {
	long := strings.Repeat("v", 4000)
	for name, sends := range map[string]func(*peer){
		"many fields": func(p *peer) {
			list := []string{":status", "200"}
			for range 600 {
				list = append(list, "a", "")
			}
			p.headers(false, list...)
		},
		"long fields": func(p *peer) {
			p.headers(false, ":status", "200", "a", long, "b", long, "c", long, "d", long, "e", long)
		},
		"a field that does not end": func(p *peer) {
			_ = p.WriteRawFrame(http2.FrameHeaders, 0, 1, []byte("\x40\x01a\x7f\xff\xff\xff\x7f"))
			for range 10 {
				_ = p.WriteContinuation(1, false, make([]byte, 16<<10))
			}
		},
		"empty frames without end": func(p *peer) {
			_ = p.WriteRawFrame(http2.FrameHeaders, 0, 1, []byte("\x88"))
			for range 10_000 {
				if p.WriteContinuation(1, false, nil) != nil {
					return
				}
			}
		},
		"interim responses without end": func(p *peer) {
			for range 1000 {
				p.headers(false, ":status", "103", "link", "abc")
			}
		},
		"trailers": func(p *peer) { settle(p); p.headers(true, "a", long, "b", long, "c", long, "d", long, "e", long) },
	} {
		t.Run(name, func(t *testing.T) {
			p, conn := newPeer(t)
			p.tb = quiet{t}
			script(t, func() {
				p.greet()
				p.await(isType(http2.FrameData))
				sends(p)
			})
			if _, _, err := exchange(t, conn, newPieces("x"), config()); err == nil || !strings.Contains(err.Error(), "longer than allowed") {
				t.Errorf("error %v", err)
			}
		})
	}
}

// quiet is a test that does not mind the errors of a server whose client has gone.
type quiet struct{ testing.TB }

func (quiet) Error(...any)          {}
func (quiet) Errorf(string, ...any) {}

// What a server asks for is bounded, if it does not read the answers.
func TestAnswersAreBounded(t *testing.T) {
	for name, ask := range map[string]func(*peer) error{
		"pings":    func(p *peer) error { return p.WritePing(false, [8]byte{}) },
		"settings": func(p *peer) error { return p.WriteSettings() },
	} {
		t.Run(name, func(t *testing.T) {
			p, conn := newPeer(t)
			conn = &stuckConn{Conn: conn, closed: make(chan struct{})}
			script(t, func() {
				p.greet()
				for range 10_000 {
					if ask(p) != nil {
						return
					}
				}
			})
			_, _, err := exchange(t, conn, newPieces("x"), config())
			if err == nil || !strings.Contains(err.Error(), "ENHANCE_YOUR_CALM") {
				t.Errorf("error %v", err)
			}
		})
	}
}

// What is allowed, if unusual.
func TestOddities(t *testing.T) {
	p, conn := newPeer(t)
	script(t, func() {
		p.greet(http2.Setting{ID: 0x99, Val: 1}, http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: 0}, http2.Setting{ID: http2.SettingHeaderTableSize, Val: 0})
		_ = p.WriteRawFrame(0xbe, 0xff, 77, []byte(strings.Repeat("x", 32<<10)))
		_ = p.WritePriority(1, http2.PriorityParam{StreamDep: 3})
		_ = p.WriteWindowUpdate(1, 1)
		p.headers(false, ":status", "100")
		p.headers(false, ":status", "103", "a", "b")
		block := p.fields(":status", "404", "a", "1", "a", "2", "content-length", "3")
		_ = p.WriteHeaders(http2.HeadersFrameParam{
			StreamID: 1, BlockFragment: block[:2], PadLength: 200, Priority: http2.PriorityParam{StreamDep: 5, Weight: 3},
		})
		_ = p.WriteContinuation(1, false, nil)
		_ = p.WriteContinuation(1, false, block[2:5])
		_ = p.WriteContinuation(1, true, block[5:])
		_ = p.WriteGoAway(1<<31-1, http2.ErrCodeNo, []byte(strings.Repeat("x", 1000)))
		_ = p.WriteData(1, false, nil)
		_ = p.WriteDataPadded(1, false, []byte("ab"), make([]byte, 255))
		_ = p.WriteRawFrame(0xbe, 0, 1, nil)
		_ = p.WriteRawFrame(http2.FrameSettings, http2.FlagSettingsAck, 0, nil)
		_ = p.WriteGoAway(1, http2.ErrCodeNo, nil)
		_ = p.WritePing(false, [8]byte{1, 2, 3})
		if ping := p.await(isType(http2.FramePing)).(*http2.PingFrame); !ping.IsAck() || ping.Data != [8]byte{1, 2, 3} {
			t.Errorf("answer %v", ping)
		}
		_ = p.WriteDataPadded(1, false, []byte("c"), nil)
		_ = p.WriteDataPadded(1, false, nil, make([]byte, 9))
		p.headers(true, "x-end", "1")
		if code, _ := p.awaitCode(); code != http2.ErrCodeNo {
			t.Errorf("code %v", code)
		}
	})
	response, read, err := exchange(t, conn, newPieces("x"), config())
	if err != nil || read != "abc" {
		t.Fatalf("%q, %v", read, err)
	}
	if response.StatusCode != http.StatusNotFound || len(response.Header["A"]) != 2 || response.Trailer.Get("X-End") != "1" || response.ContentLength != 3 {
		t.Errorf("response %v", response)
	}
}

// What was not processed can be sent again, and only that.
func TestNotProcessed(t *testing.T) {
	for name, row := range map[string]struct {
		does func(*peer)
		want bool
	}{
		"REFUSED_STREAM":                {func(p *peer) { _ = p.WriteRSTStream(1, http2.ErrCodeRefusedStream) }, true},
		"REFUSED_STREAM after the head": {func(p *peer) { settle(p); _ = p.WriteRSTStream(1, http2.ErrCodeRefusedStream) }, false},
		"another RST_STREAM":            {func(p *peer) { _ = p.WriteRSTStream(1, http2.ErrCodeInternal) }, false},
		"GOAWAY before it":              {func(p *peer) { _ = p.WriteGoAway(0, http2.ErrCodeNo, nil) }, true},
		"GOAWAY behind it": {func(p *peer) {
			_ = p.WriteGoAway(1, http2.ErrCodeEnhanceYourCalm, []byte("too much"))
			_ = p.Conn.Close()
		}, false},
		"GOAWAY in two steps": {func(p *peer) { _ = p.WriteGoAway(1<<31-1, 0, nil); _ = p.WriteGoAway(0, 0, nil) }, true},
		"the end":             {func(p *peer) { _ = p.Conn.Close() }, false},
	} {
		t.Run(name, func(t *testing.T) {
			p, conn := newPeer(t)
			script(t, func() {
				p.greet()
				p.await(isType(http2.FrameData))
				row.does(p)
			})
			_, _, err := exchange(t, conn, newPieces("x"), config())
			if err == nil || errors.Is(err, onestream.ErrNotProcessed) != row.want {
				t.Errorf("error %v", err)
			}
		})
	}
}
