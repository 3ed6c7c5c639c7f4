package culvert_test

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	culvertv1 "github.com/culvert-http/culvert/api/culvert/v1"
)

// badHandler is an inner handler that does what it must not.
type badHandler struct {
	name    string
	handler http.HandlerFunc
	cause   culvertv1.Cause // 0: the exchange succeeds all the same
	check   func(t *testing.T, answer *culvertv1.HTTPResponse)
}

const truncated = culvertv1.Cause_CAUSE_RESPONSE_TRUNCATED

func TestBadHandlers(t *testing.T) {
	status := func(status int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }
	}
	header := func(name string, values ...string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header()[name] = values
			_, _ = io.WriteString(w, "12345")
		}
	}
	without := func(name string) func(*testing.T, *culvertv1.HTTPResponse) {
		return func(t *testing.T, answer *culvertv1.HTTPResponse) {
			t.Helper()
			if string(answer.GetBody()) != "12345" {
				t.Errorf("the body is %q", answer.GetBody())
			}
			for _, field := range answer.GetHeaders() {
				if strings.EqualFold(field.GetName(), name) {
					t.Errorf("the field %s: %q was sent", field.GetName(), field.GetValue())
				}
			}
		}
	}
	with := func(name, value string) func(*testing.T, *culvertv1.HTTPResponse) {
		return func(t *testing.T, answer *culvertv1.HTTPResponse) {
			t.Helper()
			var got []string
			for _, field := range answer.GetHeaders() {
				if strings.EqualFold(field.GetName(), name) {
					got = append(got, field.GetValue()+string(field.GetRawValue()))
				}
			}
			if len(got) != 1 || got[0] != value {
				t.Errorf("%s is %q, want %q", name, got, value)
			}
		}
	}
	rows := []badHandler{
		{name: "status 0", handler: status(0), cause: handlerFailed},
		{name: "status 99", handler: status(99), cause: handlerFailed},
		{name: "status 1000", handler: status(1000), cause: handlerFailed},
		{name: "status -1", handler: status(-1), cause: handlerFailed},
		{name: "status 101 without an upgrade", handler: status(101), cause: handlerFailed},
		{name: "panic", handler: func(http.ResponseWriter, *http.Request) { panic("secret") }, cause: handlerFailed},
		{name: "abort", handler: func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, cause: handlerFailed},
		{name: "panic with nil", handler: func(http.ResponseWriter, *http.Request) { panic(error(nil)) }, cause: handlerFailed}, //nolint:govet // that it is nil is the point
		{name: "panic after the head", cause: truncated, handler: func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "secret")
			_ = http.NewResponseController(w).Flush()
			panic("secret")
		}},
		{name: "fewer bytes than promised", cause: truncated, handler: header("Content-Length", "6")},
		{name: "no bytes of those promised", cause: truncated, handler: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "6")
		}},
		{name: "more bytes than promised", cause: truncated, handler: header("Content-Length", "4")},
		{name: "more bytes after those promised", handler: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "5")
			_, _ = io.WriteString(w, "12345")
			if n, err := io.WriteString(w, "6"); n != 0 || err != http.ErrContentLength {
				panic("the sixth byte was taken")
			}
		}, check: with("Content-Length", "5")},
		{name: "two content-lengths", handler: header("Content-Length", "5", "6"), check: with("Content-Length", "5")},
		{name: "content-length that is none", handler: header("Content-Length", "+5x"), check: without("Content-Length")},
		{name: "negative content-length", handler: header("Content-Length", "-5"), check: without("Content-Length")},
		{name: "name with a space", handler: header("X y", "1"), check: without("X y")},
		{name: "name with CR LF", handler: header("X\r\nY", "1"), check: without("X\r\nY")},
		{name: "empty name", handler: header("", "1"), check: without("")},
		{name: "value with CR LF", handler: header("X", "a\r\nY: b"), check: with("X", "a  Y: b")},
		{name: "value with NUL", handler: header("X", "a\x00b"), check: without("X")},
		{name: "raw value", handler: header("X", "caf\xe9"), check: with("X", "caf\xe9")},
		{name: "connection", handler: header("Connection", "keep-alive, X-Hop"), check: without("Connection")},
		{name: "keep-alive", handler: header("Keep-Alive", "timeout=5"), check: without("Keep-Alive")},
		{name: "transfer-encoding", handler: header("Transfer-Encoding", "chunked"), check: without("Transfer-Encoding")},
		{name: "upgrade", handler: header("Upgrade", "h2c"), check: without("Upgrade")},
		{name: "body of a 204", handler: func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusNoContent)
			if _, err := io.WriteString(w, "x"); err != http.ErrBodyNotAllowed {
				panic("the body was taken")
			}
		}, check: func(t *testing.T, answer *culvertv1.HTTPResponse) {
			t.Helper()
			if answer.GetStatus() != http.StatusNoContent || len(answer.GetBody()) > 0 {
				t.Errorf("status %d with the body %q", answer.GetStatus(), answer.GetBody())
			}
		}},
		{name: "trailers that are none", handler: func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "12345")
			w.Header().Set(http.TrailerPrefix+"A\r\nB", "x")
			w.Header().Set(http.TrailerPrefix+"X", "a\r\nb")
			w.Header().Set(http.TrailerPrefix+"Content-Length", "9")
		}, check: func(t *testing.T, answer *culvertv1.HTTPResponse) {
			t.Helper()
			trailers := answer.GetTrailers()
			if len(trailers) != 1 || trailers[0].GetName() != "X" || trailers[0].GetValue() != "a  b" {
				t.Errorf("the trailers are %v", trailers)
			}
		}},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) { row.run(t) })
	}
}

func (row *badHandler) run(t *testing.T) {
	seen := newWitness(row.handler)
	tunnel := seen.serve(t)
	everyWay(t, nil, whole(&requestHead{}, ""), func(t *testing.T, w rpcWire, method string, body []byte) {
		got := tunnel.call(t, w, method, bytes.NewReader(body))
		if row.cause != 0 {
			seen.expectRefusal(t, got, row.cause, "")
			if strings.Contains(got.message, "secret") {
				t.Errorf("the message is %q", got.message)
			}
			return
		}
		if record := seen.record(t); record.Err != nil || got.code != 0 {
			t.Fatalf("got %v, and the record has %v", got, record.Err)
		}
		row.check(t, w.response(t, method, got.messages))
	})
}

// response puts together what the messages of an answer say.
func (w rpcWire) response(t *testing.T, method string, messages [][]byte) *culvertv1.HTTPResponse {
	t.Helper()
	answer := new(culvertv1.HTTPResponse)
	if method == "Call" || method == "Upload" {
		w.unmarshal(t, messages[0], answer)
		if answer.GetText() != "" {
			answer.Body = []byte(answer.GetText())
		}
		return answer
	}
	ended := false
	for _, message := range messages {
		var frame culvertv1.ResponseFrame
		w.unmarshal(t, message, &frame)
		if ended || answer.GetStatus() != 0 && frame.GetHead() != nil || answer.GetStatus() == 0 && frame.GetHead() == nil {
			t.Errorf("a frame that is out of order: %v", &frame)
		}
		if head := frame.GetHead(); head != nil {
			answer.Status, answer.Headers = head.GetStatus(), head.GetHeaders()
		}
		answer.Body = append(answer.Body, frame.GetData()...)
		answer.Trailers = frame.GetTrailers()
		ended = frame.GetEnd()
	}
	if !ended {
		t.Error("the answer has no end")
	}
	return answer
}

func (w rpcWire) unmarshal(t *testing.T, data []byte, message proto.Message) {
	t.Helper()
	if w.codec == "json" {
		unmarshalJSON(t, data, message)
		return
	}
	if err := proto.Unmarshal(data, message); err != nil {
		t.Fatal(err)
	}
}

// What does not fit into one message fails, and never arrives shortened. The
// handler hears of it.
func TestResponseOverTheBoundIsRefused(t *testing.T) {
	written := make(chan error, 1)
	seen := newWitness(func(w http.ResponseWriter, _ *http.Request) {
		chunk := make([]byte, 64<<10)
		for {
			if _, err := w.Write(chunk); err != nil {
				written <- err
				return
			}
		}
	})
	tunnel := seen.serve(t)
	everyWay(t, []string{"Call", "Upload"}, whole(&requestHead{}, ""), func(t *testing.T, w rpcWire, method string, body []byte) {
		measureLive(t, func() {
			got := tunnel.call(t, w, method, bytes.NewReader(body))
			seen.expectRefusal(t, got, culvertv1.Cause_CAUSE_RESPONSE_TOO_LARGE, "Download and Exchange")
		})
		if err := <-written; err == nil {
			t.Error("the handler was not told")
		}
	})
}

// Targets that look wrong and are not arrive as they were sent.
func TestOddTargetsArrive(t *testing.T) {
	var uri, path string
	seen := newWitness(func(_ http.ResponseWriter, r *http.Request) { uri, path = r.RequestURI, r.URL.Path })
	tunnel := seen.serve(t)
	for _, row := range []struct{ target, path string }{
		{"//x", "//x"},
		{"//x/../y", "//x/../y"},
		{"/%2e%2e/", "/../"},
		{"/../..", "/../.."},
		{"/a%2fb", "/a/b"},
		{"/a|b\"c", "/a|b\"c"},
		{"/caf\xe9", "/caf\xe9"},
		{"/\xff\xfe?\x80", "/\xff\xfe"},
		{"/é", "/é"},
		{"/a?%zz&&=", "/a"},
		{"/#a", "/#a"},
		{"/%00", "/\x00"},
		{"/:80", "/:80"},
		{"/http://a", "/http://a"},
		{"*", "*"},
	} {
		head := &requestHead{Method: "OPTIONS", RawPath: []byte(row.target)}
		everyWay(t, nil, whole(head, ""), func(t *testing.T, w rpcWire, method string, body []byte) {
			got := tunnel.call(t, w, method, bytes.NewReader(body))
			seen.record(t)
			if got.code != 0 || uri != row.target || path != row.path {
				t.Errorf("%q: got %v, target %q, path %q, want %q", row.target, got, uri, path, row.path)
			}
		})
	}
}
