package culvert_test

import (
	"strings"
	"testing"

	"github.com/culvert-http/culvert"
	culvertv1 "github.com/culvert-http/culvert/api/culvert/v1"
)

type (
	requestFrames = []*culvertv1.RequestFrame
	requestHead   = culvertv1.RequestHead
)

// Section 3 of docs/protocol.md: the order of frames.
func TestFramesOutOfOrderAreRefused(t *testing.T) {
	ended := func() *culvertv1.RequestFrame {
		return &culvertv1.RequestFrame{Head: &requestHead{Path: "/"}, End: true}
	}
	runBadFrames(t, []badFrames{
		{name: "no message", frames: requestFrames{}, cause: malformedRequest},
		{name: "empty messages only", frames: requestFrames{{}, {}}, only: []string{"Exchange", "Upload"}, cause: malformedRequest, says: "without a message"},
		{name: "empty message", frames: requestFrames{{}}, only: []string{"Download"}, cause: malformedRequest, says: "head"},
		{name: "data before head", frames: requestFrames{dataFrame("a"), headFrame("/"), endFrame()}, cause: malformedRequest, says: "no head"},
		{name: "end before head", frames: requestFrames{endFrame(), headFrame("/")}, cause: malformedRequest, says: "no head"},
		{name: "trailers before head", frames: requestFrames{endFrame(field("a", "b"))}, cause: malformedRequest, says: "no head"},
		{name: "two heads", frames: requestFrames{headFrame("/"), headFrame("/"), endFrame()}, begins: true, cause: malformedRequest, says: "second head"},
		{name: "second head with the end", frames: requestFrames{headFrame("/"), ended()}, begins: true, cause: malformedRequest, says: "second head"},
		{name: "data after end", frames: requestFrames{ended(), dataFrame("a")}, complete: true, cause: malformedRequest, says: "after the end"},
		{name: "two ends", frames: requestFrames{ended(), endFrame()}, complete: true, cause: malformedRequest, says: "after the end"},
		{name: "head after end", frames: requestFrames{ended(), ended()}, complete: true, cause: malformedRequest, says: "after the end"},
		{name: "trailers without end", frames: requestFrames{headFrame("/"), {Trailers: []*culvertv1.Field{field("a", "b")}}, endFrame()}, begins: true, cause: malformedRequest, says: "trailers before the end"},
		{name: "trailers without end beside the head", frames: requestFrames{{Head: &requestHead{}, Trailers: []*culvertv1.Field{field("a", "b")}}}, cause: malformedRequest, says: "trailers before the end"},
		{name: "half-close after the head", frames: requestFrames{headFrame("/")}, begins: true, cause: malformedRequest, says: "half-closed"},
		{name: "half-close after data", frames: requestFrames{headFrame("/"), dataFrame("abc")}, begins: true, cause: malformedRequest, says: "half-closed"},
		{name: "half-close amid what was promised", frames: requestFrames{headFrame("/", field("content-length", "5")), dataFrame("abc")}, begins: true, cause: malformedRequest, says: "half-closed"},
	})
}

// Section 8: request heads.
func TestBadHeadsAreRefused(t *testing.T) {
	var rows []badFrames
	bad := func(name, says string, head *requestHead) {
		rows = append(rows, badFrames{name: name, frames: whole(head, ""), cause: malformedRequest, says: says})
	}
	for name, method := range map[string]string{
		"CR LF": "GET / HTTP/1.1\r\nX: ", "LF": "G\nET", "NUL": "GET\x00", "space": "GE T", "colon": "GET:", "not ASCII": "GÉT", "only space": " ",
	} {
		bad("method with "+name, "not a token", &requestHead{Method: method})
	}
	bad("CONNECT", "CONNECT", &requestHead{Method: "CONNECT", Path: "/"})
	bad("CONNECT with an authority", "slash", &requestHead{Method: "GET", Path: "example.com:443"})
	for name, path := range map[string]string{
		"absolute-form": "http://example.com/x", "authority-form": "example.com:80", "no slash": "x", "asterisk and more": "*/",
		"only a query": "?a=b", "fragment alone": "#a", "backslash": `\x`,
	} {
		bad("target: "+name, "slash", &requestHead{Path: path})
	}
	bad("target: asterisk without OPTIONS", "OPTIONS", &requestHead{Method: "GET", Path: "*"})
	for name, path := range map[string]string{
		"CR": "/a\rb", "LF": "/a\nb", "CR LF and a field": "/ HTTP/1.1\r\nHost: x", "NUL": "/a\x00", "space": "/a b", "tab": "/a\tb", "DEL": "/a\x7f", "space in the query": "/?a b",
	} {
		bad("target with "+name, "control character", &requestHead{Path: path})
		bad("raw target with "+name, "control character", &requestHead{RawPath: []byte(path)})
	}
	for name, path := range map[string]string{"half a percent": "/%2", "no digits": "/%zz", "percent alone": "/%"} {
		bad("target with "+name, "not valid", &requestHead{Path: path})
	}
	bad("both a path and a raw path", "both", &requestHead{Path: "/a", RawPath: []byte("/a")})
	for name, authority := range map[string]string{
		"CR LF": "a\r\nX: y", "NUL": "a\x00", "space": "a b", "slash": "a/b", "user information": "user@a", "not ASCII": "é",
	} {
		bad("authority with "+name, "authority", &requestHead{Authority: authority})
	}
	bad("scheme", "scheme", &requestHead{Scheme: "file"})
	bad("scheme with LF", "scheme", &requestHead{Scheme: "http\n"})
	bad("version", "version", &requestHead{HttpVersion: 99})
	bad("client address without a port", "client address", &requestHead{ClientAddress: "10.0.0.1"})
	bad("client address that is a name", "client address", &requestHead{ClientAddress: "localhost:1"})
	runBadFrames(t, rows)
}

// Sections 10 and 11: fields and trailers.
func TestBadFieldsAreRefused(t *testing.T) {
	var rows []badFrames
	bad := func(name, says string, bad ...*culvertv1.Field) {
		rows = append(rows, badFrames{name: name, frames: withFields(bad...), cause: malformedRequest, says: says})
	}
	badTrailer := func(name, says string, bad ...*culvertv1.Field) {
		frames := whole(&requestHead{Method: "POST", Path: "/"}, "12345", bad...)
		rows = append(rows, badFrames{name: "trailer: " + name, frames: frames, cause: malformedRequest, says: says})
	}
	for name, bytes := range map[string]string{
		"CR": "\r", "LF": "\n", "CR LF": "\r\n", "NUL": "\x00", "space": " ", "colon": ":", "not ASCII": "é", "a slash": "/", "DEL": "\x7f",
	} {
		for _, add := range []func(string, string, ...*culvertv1.Field){bad, badTrailer} {
			add("name with "+name, "not a token", field("x"+bytes+"y", "z"))
			add("name that ends with "+name, "not a token", field("x"+bytes, "z"))
			add("name that begins with "+name, "not a token", field(bytes+"x", "z"))
		}
	}
	for name, value := range map[string]string{"CR": "a\rb", "LF": "a\nb", "CR LF and a field": "a\r\nX: y", "NUL": "a\x00b", "DEL": "a\x7f", "ESC": "\x1b[2J"} {
		for _, add := range []func(string, string, ...*culvertv1.Field){bad, badTrailer} {
			add("value with "+name, "control character", field("x", value))
			add("raw value with "+name, "control character", rawField("x", value))
		}
	}
	for _, add := range []func(string, string, ...*culvertv1.Field){bad, badTrailer} {
		add("name: empty", "not a token", field("", "x"))
		add("both value and raw value", "both", &culvertv1.Field{Name: "x", Value: "a", RawValue: []byte("a")})
	}
	bad("name: pseudo-header", "not a token", field(":path", "/x"))
	bad("host", "Host", field("host", "example.com"))
	bad("host in capitals", "Host", field("HOST", "example.com"))
	bad("transfer-encoding", "Transfer-Encoding", field("transfer-encoding", "chunked"))
	bad("transfer-encoding hidden by Connection", "Transfer-Encoding", field("connection", "transfer-encoding"), field("transfer-encoding", "chunked"))
	bad("two content-lengths", "content-length", field("content-length", "5"), field("content-length", "6"))
	bad("content-length twice", "content-length", field("content-length", "5"), field("Content-Length", "5"))
	for name, value := range map[string]string{
		"negative": "-5", "with a plus": "+5", "a list": "5, 5", "hexadecimal": "0x5", "with an underscore": "1_0", "a fraction": "5.0",
		"empty": "", "a word": "five", "2^63": "9223372036854775808", "2^64": "18446744073709551616", "with a space inside": "1 0", "Arabic digits": "٥",
	} {
		bad("content-length: "+name, "content-length", field("content-length", value))
	}
	bad("content-length hidden by Connection", "content-length", field("connection", "content-length"), field("content-length", "6"), field("content-length", "5"))
	runBadFrames(t, rows)
}

// Section 4: bodies that contradict their Content-Length.
func TestBodiesOfAnotherLengthAreRefused(t *testing.T) {
	short, long := field("content-length", "6"), field("content-length", "4")
	runBadFrames(t, []badFrames{
		{name: "too short", frames: withFields(short), cause: malformedRequest, says: "short of its content-length"},
		{name: "too long", frames: withFields(long), cause: malformedRequest, says: "longer than its content-length"},
		{name: "longer than none", frames: withFields(field("content-length", "0")), cause: malformedRequest, says: "longer than its content-length"},
		{name: "far too short", frames: withFields(field("content-length", "9223372036854775807")), cause: malformedRequest, says: "short"},
		{name: "too short in parts", frames: requestFrames{headFrame("/", short), dataFrame("123"), dataFrame("45"), endFrame()}, begins: true, cause: malformedRequest, says: "short"},
		{name: "too long in parts", frames: requestFrames{headFrame("/", long), dataFrame("123"), dataFrame("45"), endFrame()}, begins: true, cause: malformedRequest, says: "longer"},
		{name: "none after the head", frames: requestFrames{headFrame("/", short), endFrame()}, begins: true, cause: malformedRequest, says: "short"},
	})
}

// Section 13: sizes.
func TestWhatIsTooLargeIsRefused(t *testing.T) {
	streams := []string{"Exchange", "Upload"}
	// Of raw bytes there are only 900 KiB, which are 1.2 MiB in JSON; over 1.3 MiB a
	// message of a stream is not even looked at.
	mib := strings.Repeat("x", 1<<20)
	runBadFrames(t, []badFrames{
		{name: "value of 1 MiB", frames: withFields(field("x", mib)), cause: headTooLarge, says: "over the limit"},
		{name: "raw value of 900 KiB", frames: withFields(rawField("x", mib[:900<<10])), cause: headTooLarge, says: "over the limit"},
		{name: "name of 1 MiB", frames: withFields(field(mib, "x")), cause: headTooLarge, says: "over the limit"},
		{name: "path of 1 MiB", frames: whole(&requestHead{Path: "/" + mib}, ""), cause: headTooLarge, says: "over the limit"},
		{name: "raw path of 900 KiB", frames: whole(&requestHead{RawPath: []byte("/" + mib[:900<<10])}, ""), cause: headTooLarge, says: "over the limit"},
		{name: "method of 1 MiB", frames: whole(&requestHead{Method: mib}, ""), cause: headTooLarge, says: "over the limit"},
		{name: "authority of 1 MiB", frames: whole(&requestHead{Authority: mib}, ""), cause: headTooLarge, says: "over the limit"},
		{name: "scheme of 1 MiB", frames: whole(&requestHead{Scheme: mib}, ""), cause: malformedRequest, says: "scheme"},
		{name: "client address of 1 MiB", frames: whole(&requestHead{ClientAddress: mib}, ""), cause: malformedRequest, says: "client address"},
		{name: "10,000 fields", frames: withFields(manyFields(10_000)...), cause: headTooLarge, says: "10000 fields"},
		{name: "1,001 fields", frames: withFields(manyFields(1_001)...), cause: headTooLarge, says: "1001 fields"},
		{name: "10,000 trailers", frames: whole(&requestHead{}, "", manyFields(10_000)...), cause: headTooLarge, says: "trailers"},
		{name: "10,000 trailers after the head", frames: requestFrames{headFrame("/"), endFrame(manyFields(10_000)...)}, begins: true, cause: headTooLarge, says: "trailers"},
		{name: "trailer of 1 MiB", frames: whole(&requestHead{}, "", field("x", mib)), cause: headTooLarge, says: "trailers"},
		{name: "data over 256 KiB beside the head", only: streams, frames: requestFrames{{Head: &requestHead{}, Data: []byte(mib[:256<<10+1]), End: true}}, cause: bodyTooLarge, says: "over the limit"},
		{name: "data over 256 KiB", frames: requestFrames{headFrame("/"), dataFrame(mib[:256<<10+1]), endFrame()}, begins: true, cause: bodyTooLarge, says: "over the limit"},
		{name: "body over 2 MiB in one message", only: []string{"Call", "Download"}, opts: []culvert.HandlerOption{culvert.WithMaxBodyBytes(2 << 20)}, frames: whole(&requestHead{}, mib+mib+"x"), cause: bodyTooLarge, says: "over the limit"},
		{name: "message over its limit", only: streams, frames: withFields(field("x", mib+mib[:512<<10])), cause: bodyTooLarge, says: "over the limit"},
	})
}
