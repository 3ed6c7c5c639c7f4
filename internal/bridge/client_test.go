package bridge

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/iotest"

	"google.golang.org/protobuf/proto"

	culvertv1 "github.com/culvert-http/culvert/api/culvert/v1"
)

// recorder is a stream that keeps what is sent, and answers the end of it.
type recorder struct {
	sent   []*culvertv1.RequestFrame
	ended  chan struct{}
	answer []*culvertv1.ResponseFrame
}

func newRecorder(answer ...*culvertv1.ResponseFrame) *recorder {
	return &recorder{ended: make(chan struct{}), answer: answer}
}

func (r *recorder) Send(frame *culvertv1.RequestFrame) error {
	r.sent = append(r.sent, proto.CloneOf(frame))
	return nil
}

func (r *recorder) CloseSend() error {
	close(r.ended)
	return nil
}

func (r *recorder) Receive(frame *culvertv1.ResponseFrame) error {
	<-r.ended
	if len(r.answer) == 0 {
		return io.EOF
	}
	proto.Reset(frame)
	proto.Merge(frame, r.answer[0])
	r.answer = r.answer[1:]
	return nil
}

func (r *recorder) Interrupt() {}

// send sends a request and returns its frames.
func send(tb testing.TB, req *http.Request) []*culvertv1.RequestFrame {
	tb.Helper()
	request, err := NewClientRequest(req)
	if err != nil {
		tb.Fatal(err)
	}
	stream := newRecorder(&culvertv1.ResponseFrame{Head: &culvertv1.ResponseHead{Status: 200}, End: true})
	client := &Client{Limits: Limits{HeadBytes: 1 << 10, Fields: 10}, Tries: 1}
	resp, err := client.RoundTrip(request, Carrier{Open: func(context.Context) ClientStream { return stream }})
	if err != nil {
		tb.Fatal(err)
	}
	if err := resp.Body.Close(); err != nil {
		tb.Error(err)
	}
	return stream.sent
}

func newRequest(tb testing.TB, method, target string, body io.Reader) *http.Request {
	tb.Helper()
	req, err := http.NewRequestWithContext(tb.Context(), method, target, body)
	if err != nil {
		tb.Fatal(err)
	}
	return req
}

func TestClientRequestHeads(t *testing.T) {
	for name, row := range map[string]struct {
		request func(*http.Request)
		want    *culvertv1.RequestHead
	}{
		"plain": {func(*http.Request) {}, &culvertv1.RequestHead{Path: "/a?b"}},
		"no method": {
			func(r *http.Request) { r.Method = "" }, &culvertv1.RequestHead{Path: "/a?b"},
		},
		"host": {
			func(r *http.Request) { r.Host = "other:1" }, &culvertv1.RequestHead{Path: "/a?b", Authority: "other:1"},
		},
		"international host": {
			func(r *http.Request) { r.Host = "é.example:1" }, &culvertv1.RequestHead{Path: "/a?b", Authority: "xn--9ca.example:1"},
		},
		"zone": {
			func(r *http.Request) { r.Host = "[fe80::1%eth0]:1" }, &culvertv1.RequestHead{Path: "/a?b", Authority: "[fe80::1]:1"},
		},
		"raw path": {
			func(r *http.Request) { r.URL.RawQuery = "\xe9" }, &culvertv1.RequestHead{RawPath: []byte("/a?\xe9")},
		},
		"opaque": {
			func(r *http.Request) { r.URL = &url.URL{Scheme: "http", Host: "host", Opaque: "/%2e|"} },
			&culvertv1.RequestHead{Path: "/%2e|"},
		},
		"opaque with a host": {
			func(r *http.Request) { r.URL = &url.URL{Scheme: "http", Host: "host", Opaque: "//host/x"} },
			&culvertv1.RequestHead{Path: "/x"},
		},
		"asterisk": {
			func(r *http.Request) { r.Method, r.URL.Path, r.URL.RawQuery = "OPTIONS", "*", "" },
			&culvertv1.RequestHead{Method: "OPTIONS", Path: "*"},
		},
		"upgrade": {
			func(r *http.Request) {
				r.Header = http.Header{"Connection": {"keep-alive, upgrade"}, "Upgrade": {"websocket"}}
			},
			&culvertv1.RequestHead{Path: "/a?b", Upgrade: "websocket"},
		},
		"inbound": {
			func(r *http.Request) {
				*r = *r.WithContext(WithInbound(r.Context(), &Inbound{
					Version: culvertv1.HTTPVersion_HTTP_VERSION_1_0, ClientAddress: "192.0.2.1:5", Target: "//x",
				}))
			},
			&culvertv1.RequestHead{
				Path: "//x", HttpVersion: culvertv1.HTTPVersion_HTTP_VERSION_1_0, ClientAddress: "192.0.2.1:5",
			},
		},
		"no user agent": {
			func(r *http.Request) { r.Header["User-Agent"] = []string{""} }, &culvertv1.RequestHead{Path: "/a?b"},
		},
		"fields of their own": {
			func(r *http.Request) {
				for _, name := range []string{"Host", "content-length", "Content-Length", "Transfer-Encoding", "Trailer", "Keep-Alive"} {
					r.Header[name] = []string{"1"}
				}
			},
			&culvertv1.RequestHead{Path: "/a?b"},
		},
		"length of nothing": {
			func(r *http.Request) { r.Method = "POST" },
			&culvertv1.RequestHead{Method: "POST", Path: "/a?b", Headers: []*culvertv1.Field{{Name: "Content-Length", Value: "0"}}},
		},
		"nothing, received without a length": {
			func(r *http.Request) {
				r.Method = "POST"
				*r = *r.WithContext(WithInbound(r.Context(), &Inbound{Version: culvertv1.HTTPVersion_HTTP_VERSION_1_1}))
			},
			&culvertv1.RequestHead{Method: "POST", Path: "/a?b"},
		},
		"nothing, received with its length": {
			func(r *http.Request) {
				r.Header.Set("Content-Length", "0")
				*r = *r.WithContext(WithInbound(r.Context(), &Inbound{Version: culvertv1.HTTPVersion_HTTP_VERSION_1_1}))
			},
			&culvertv1.RequestHead{Path: "/a?b", Headers: []*culvertv1.Field{{Name: "Content-Length", Value: "0"}}},
		},
		"trailers": {
			func(r *http.Request) { r.Trailer = http.Header{"b": nil, "A": nil} },
			&culvertv1.RequestHead{Path: "/a?b", Headers: []*culvertv1.Field{{Name: "Trailer", Value: "A, B"}}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			req := newRequest(t, "GET", "http://host/a?b", nil)
			row.request(req)
			want := row.want
			want.Scheme = "http"
			if want.Method == "" {
				want.Method = "GET"
			}
			if want.Authority == "" {
				want.Authority = "host"
			}
			if want.HttpVersion == 0 {
				want.HttpVersion = culvertv1.HTTPVersion_HTTP_VERSION_1_1
			}
			request, err := NewClientRequest(req)
			if err != nil {
				t.Fatal(err)
			}
			if !proto.Equal(&request.head, want) {
				t.Errorf("got  %v\nwant %v", &request.head, want)
			}
		})
	}
}

func TestClientBodiesInFrames(t *testing.T) {
	content := bytes.Repeat([]byte("x"), 3*MaxData)
	for name, row := range map[string]struct {
		body   io.Reader
		length int64
		frames int // at most
		whole  int
	}{
		"none":            {nil, 0, 1, 0},
		"empty":           {http.NoBody, 0, 1, 0},
		"memory":          {bytes.NewReader(content[:MaxData]), -1, 1, MaxData},
		"buffer":          {bytes.NewBuffer(content[:10]), 0, 1, 10},
		"string":          {strings.NewReader("abc"), 3, 1, 3},
		"empty memory":    {io.NopCloser(strings.NewReader("")), -1, 1, 0},
		"more memory":     {bytes.NewReader(content), 0, 20, len(content)},
		"stream":          {io.NopCloser(bytes.NewReader(content)), -1, 20, len(content)},
		"stream of bytes": {iotest.OneByteReader(strings.NewReader("abc")), -1, 5, 3},
		"declared stream": {io.MultiReader(strings.NewReader("abc")), 3, 2, 3},
		"empty stream":    {io.MultiReader(), -1, 2, 0},
	} {
		t.Run(name, func(t *testing.T) {
			req := newRequest(t, "PUT", "http://host/", row.body)
			if row.length > 0 {
				req.ContentLength = row.length
			}
			frames := send(t, req)
			var got bytes.Buffer
			for i, frame := range frames {
				if (frame.Head != nil) != (i == 0) || frame.GetEnd() != (i == len(frames)-1) || len(frame.GetData()) > MaxData {
					t.Errorf("frame %d of %d: head %v, %d bytes, end %v", i, len(frames), frame.Head != nil, len(frame.GetData()), frame.GetEnd())
				}
				got.Write(frame.GetData())
			}
			if got.Len() != row.whole || len(frames) > row.frames {
				t.Errorf("%d bytes in %d frames, want %d in %d", got.Len(), len(frames), row.whole, row.frames)
			}
		})
	}
}

func TestClientErrorsOfABodyAreUnexpectedEnds(t *testing.T) {
	cause := errors.New("cause")
	for _, err := range []*Error{
		{Err: cause},
		{Cause: culvertv1.Cause_CAUSE_UPSTREAM_FAILED, Err: cause, NotStarted: true},
		{Cause: culvertv1.Cause_CAUSE_RESPONSE_TRUNCATED, Err: cause},
	} {
		cut := cutShort(err)
		if !errors.Is(cut, io.ErrUnexpectedEOF) || !errors.Is(cut, cause) || cut.Cause == culvertv1.Cause_CAUSE_UNSPECIFIED {
			t.Errorf("%v becomes %v", err, cut)
		}
		if cut.NotStarted && cut.Cause != culvertv1.Cause_CAUSE_RESPONSE_TRUNCATED {
			t.Errorf("%v is not started", cut)
		}
	}
}
