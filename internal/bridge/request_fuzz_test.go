package bridge

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"net/textproto"
	"reflect"
	"strings"
	"testing"

	"golang.org/x/net/http/httpguts"

	culvertv1 "github.com/culvert-http/culvert/api/culvert/v1"
)

// fieldsOf makes fields of lines, each with a name, a colon and a value; a value
// that begins with a second colon is a raw one.
func fieldsOf(lines string) []*culvertv1.Field {
	if lines == "" {
		return nil
	}
	var fields []*culvertv1.Field
	for line := range strings.SplitSeq(lines, "\n") {
		name, value, _ := strings.Cut(line, ":")
		if raw, ok := strings.CutPrefix(value, ":"); ok {
			fields = append(fields, &culvertv1.Field{Name: name, RawValue: []byte(raw)})
		} else {
			fields = append(fields, &culvertv1.Field{Name: name, Value: value})
		}
	}
	return fields
}

// What the bridge makes of a head is what net/http makes of the same request in
// HTTP/1.1: it neither accepts more nor understands something else.
func FuzzRequestHead(f *testing.F) {
	f.Add("GET", "example.com", "/a?b=c", "", "Accept:*/*\nCookie:a=1\nCookie:b=2")
	f.Add("OPTIONS", "", "*", "", "Te:trailers, deflate")
	f.Add("GET", "a", "/", "", "Cookie:\nCookie:")
	f.Add("POST", "[::1]:80", "//x/../%2e%2e/", "", "Content-Length:5\nTrailer:X-Sum")
	f.Add("", "a", "", "/caf\xe9|\"<>", "X:caf\xe9\nX::\xff\xfe")
	f.Add("GET", "a", "/%zz", "", "Connection:close, x\nX:1\nPragma:no-cache")
	f.Add("CONNECT", "a:1", "a:1", "", "Transfer-Encoding:chunked\nHost:b")
	f.Add("G T", "a b", "http://a/", "", "A b:c\nX:a\rb\nContent-Length:+5")
	f.Fuzz(func(t *testing.T, method, authority, path, rawPath, lines string) {
		server := &Server{Limits: Limits{HeadBytes: 1 << 20, Fields: 1000}}
		r, refused := server.newRequest(t.Context(), &requestFrame{Head: &culvertv1.RequestHead{
			Method: method, Authority: authority, Path: path, RawPath: []byte(rawPath), Headers: fieldsOf(lines),
		}}, &Origin{Scheme: "http", Authority: "default.example", Trusted: true})
		if refused != nil {
			if !refused.Public || refused.Err == nil {
				t.Errorf("the refusal does not say why: %#v", refused)
			}
			return
		}
		same, err := http.ReadRequest(bufio.NewReader(strings.NewReader(inHTTP1(r))))
		if err != nil {
			t.Fatalf("net/http refuses %q: %v", inHTTP1(r), err)
		}
		if same.Method != r.Method || same.RequestURI != r.RequestURI || same.Host != r.Host {
			t.Errorf("%s %q at %q, want %s %q at %q", r.Method, r.RequestURI, r.Host, same.Method, same.RequestURI, same.Host)
		}
		if !reflect.DeepEqual(same.URL, r.URL) {
			t.Errorf("the URL is %#v, want %#v", r.URL, same.URL)
		}
		if _, ok := r.Header["Cache-Control"]; !ok && len(r.Header["Pragma"]) > 0 {
			delete(same.Header, "Cache-Control") // net/http adds it for caches of HTTP/1.0
		}
		if cookies := r.Header["Cookie"]; len(cookies) == 1 {
			// Empty lines are joined to one that ends in a space, as net/http's HTTP/2
			// does it; HTTP/1.1 cannot send that space.
			cookies[0] = textproto.TrimString(cookies[0])
		}
		if !reflect.DeepEqual(same.Header, r.Header) {
			t.Errorf("the fields are %q, want %q", r.Header, same.Header)
		}
		if length := max(r.ContentLength, 0); same.ContentLength != length { // without one there is no body in HTTP/1.1
			t.Errorf("the length is %d, want %d", r.ContentLength, same.ContentLength)
		}
	})
}

// inHTTP1 returns the request's head as HTTP/1.1 has it.
func inHTTP1(r *http.Request) string {
	var text strings.Builder
	fmt.Fprintf(&text, "%s %s HTTP/1.1\r\nHost: %s\r\n", r.Method, r.RequestURI, r.Host)
	for name, values := range r.Header {
		for _, value := range values {
			fmt.Fprintf(&text, "%s: %s\r\n", name, value)
		}
	}
	return text.String() + "\r\n"
}

// What is encoded can be decoded, whatever a handler put into its header, and is
// the same but for what does not cross.
func FuzzFields(f *testing.F) {
	f.Add("Accept:*/*\nSet-Cookie:a\nSet-Cookie:b\nX:caf\xe9", false)
	f.Add("Connection:x, close\nX:1\nKeep-Alive:5\nTe:trailers", true)
	f.Add("x-lower:1\nX y:2\n:path:/\nA:b\r\nEmpty:", false)
	f.Fuzz(func(t *testing.T, lines string, trailers bool) {
		header := make(http.Header)
		for _, field := range fieldsOf(lines) {
			name := field.GetName()
			header[name] = append(header[name], field.GetValue()+string(field.GetRawValue()))
		}
		where := responseHeader
		if trailers {
			where = trailerSection
		}
		encoded := encodeFields(where, header)
		decoded, err := decodeFields(encoded, where)
		if err != nil {
			t.Fatalf("%q was encoded as %v, which is refused: %v", header, encoded, err)
		}
		again, err := decodeFields(encodeFields(where, decoded), where)
		if err != nil || !reflect.DeepEqual(decoded, again) {
			t.Errorf("%q became %q (%v)", decoded, again, err)
		}
		if plain := plainFields(header); plain != nil && !reflect.DeepEqual(decoded, plain) {
			t.Errorf("%q became %q", plain, decoded)
		}
	})
}

// plainFields returns header if all of it is valid, in canonical form, and
// crosses a hop, else nil.
func plainFields(header http.Header) http.Header {
	for name, values := range header {
		if !httpguts.ValidTrailerHeader(name) || !httpguts.ValidHeaderFieldName(name) ||
			textproto.CanonicalMIMEHeaderKey(name) != name || hopByHop(name) || name == "Te" {
			return nil
		}
		for _, value := range values {
			if !httpguts.ValidHeaderFieldValue(value) || textproto.TrimString(value) != value {
				return nil
			}
		}
	}
	return header
}

// frameKinds are what a byte of the fuzzer's stands for: the parts of a frame.
const (
	withHead = 1 << iota
	withData
	withEnd
	withTrailers
)

func frameOf(kind byte) *requestFrame {
	frame := &requestFrame{}
	if kind&withHead != 0 {
		frame.Head = &culvertv1.RequestHead{}
	}
	if kind&withData != 0 {
		frame.Data = []byte{kind}
	}
	frame.End = kind&withEnd != 0
	if kind&withTrailers != 0 {
		frame.Trailers = []*culvertv1.Field{{Name: "X", Value: "y"}}
	}
	return frame
}

// sliceStream gives out frames, and then a half-close.
type sliceStream struct {
	ServerStream
	frames []*requestFrame
}

func (s *sliceStream) Receive(frame *requestFrame) error {
	if len(s.frames) == 0 {
		return io.EOF
	}
	frame.Reset()
	next := s.frames[0]
	frame.Head, frame.Data, frame.End, frame.Trailers = next.GetHead(), next.GetData(), next.GetEnd(), next.GetTrailers()
	s.frames = s.frames[1:]
	return nil
}

// verdictOf is section 3 of docs/protocol.md: the parts of each frame are taken
// from left to right, through the states. It returns how many frames are taken,
// and whether the request is complete.
func verdictOf(kinds []byte) (taken int, complete bool) {
	const (
		beforeHead = iota
		body
		ended
	)
	state := beforeHead
	for _, kind := range kinds {
		kind &= withHead | withData | withEnd | withTrailers
		if kind == 0 {
			continue
		}
		for _, part := range []byte{withHead, withData, withEnd} {
			switch {
			case kind&part == 0:
			case part == withHead && state == beforeHead:
				state = body
			case part == withData && state == body:
			case part == withEnd && state == body:
				state = ended
			default:
				return taken, false
			}
		}
		if kind&withTrailers != 0 && kind&withEnd == 0 {
			return taken, false
		}
		taken++
	}
	return taken, state == ended
}

func FuzzFrameOrder(f *testing.F) {
	for _, seed := range [][]byte{
		{withHead | withEnd},
		{withHead, withData, withData, withEnd | withTrailers},
		{0, withHead | withData, 0, withEnd, 0},
		{withHead, withHead},
		{withHead | withEnd, withData},
		{withData, withHead},
		{withHead | withTrailers},
		{withHead, withEnd, withEnd},
		{},
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, kinds []byte) {
		stream := &sliceStream{}
		for _, kind := range kinds {
			stream.frames = append(stream.frames, frameOf(kind))
		}
		frames := requestFrames{stream: stream, maxData: MaxData}
		taken := 0
		var refused *Error
		for {
			frame, err := frames.next()
			if frame == nil {
				refused = err
				break
			}
			taken++
		}
		wantTaken, complete := verdictOf(kinds)
		if taken != wantTaken || (refused == nil) != complete {
			t.Errorf("%d frames of %v were taken, then %v; want %d, complete %t", taken, kinds, refused, wantTaken, complete)
		}
		if refused != nil && (refused.Cause != malformedRequest || !refused.Public) {
			t.Errorf("the refusal is %#v", refused)
		}
	})
}
