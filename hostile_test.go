package culvert_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/culvert-http/culvert"
	culvertv1 "github.com/culvert-http/culvert/api/culvert/v1"
)

// codeOfCause is the table of section 17 of docs/protocol.md, written down a
// second time.
var codeOfCause = map[culvertv1.Cause]connect.Code{
	culvertv1.Cause_CAUSE_MALFORMED_REQUEST:      connect.CodeInvalidArgument,
	culvertv1.Cause_CAUSE_REQUEST_HEAD_TOO_LARGE: connect.CodeResourceExhausted,
	culvertv1.Cause_CAUSE_REQUEST_BODY_TOO_LARGE: connect.CodeResourceExhausted,
	culvertv1.Cause_CAUSE_TOO_MANY_EXCHANGES:     connect.CodeResourceExhausted,
	culvertv1.Cause_CAUSE_RESPONSE_TOO_LARGE:     connect.CodeResourceExhausted,
	culvertv1.Cause_CAUSE_CANCELED:               connect.CodeCanceled,
	culvertv1.Cause_CAUSE_DEADLINE_EXCEEDED:      connect.CodeDeadlineExceeded,
	culvertv1.Cause_CAUSE_HANDLER_FAILED:         connect.CodeInternal,
	culvertv1.Cause_CAUSE_RESPONSE_TRUNCATED:     connect.CodeDataLoss,
	culvertv1.Cause_CAUSE_DRAINING:               connect.CodeUnavailable,
	culvertv1.Cause_CAUSE_HTTP2_REQUIRED:         connect.CodeUnimplemented,
	culvertv1.Cause_CAUSE_RATE_LIMITED:           connect.CodeResourceExhausted,
}

const (
	malformedRequest = culvertv1.Cause_CAUSE_MALFORMED_REQUEST
	headTooLarge     = culvertv1.Cause_CAUSE_REQUEST_HEAD_TOO_LARGE
	bodyTooLarge     = culvertv1.Cause_CAUSE_REQUEST_BODY_TOO_LARGE
	handlerFailed    = culvertv1.Cause_CAUSE_HANDLER_FAILED
	deadlineExceeded = culvertv1.Cause_CAUSE_DEADLINE_EXCEEDED
	tooMany          = culvertv1.Cause_CAUSE_TOO_MANY_EXCHANGES
)

// witness is an inner handler that reads the whole request and remembers what it
// saw, and an observer of the exchanges.
type witness struct {
	then http.HandlerFunc // answers, after the request was read

	mu      sync.Mutex
	runs    int
	bodyErr error // of the last run
	records chan culvert.Record
}

func newWitness(then http.HandlerFunc) *witness {
	return &witness{then: then, records: make(chan culvert.Record, 100)}
}

// serve makes a tunnel to the witness.
func (w *witness) serve(tb testing.TB, opts ...culvert.HandlerOption) *tunnel {
	tb.Helper()
	opts = append(opts,
		culvert.WithLogger(slog.New(slog.DiscardHandler)),
		culvert.WithObserver(func(_ context.Context, r culvert.Record) { w.records <- r }))
	return newTunnel(tb, w, opts...)
}

func (w *witness) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	_, err := io.Copy(io.Discard, r.Body)
	w.mu.Lock()
	w.runs++
	w.bodyErr = err
	w.mu.Unlock()
	if w.then != nil {
		w.then(rw, r)
	}
}

// forget returns what was seen since it was last called.
func (w *witness) forget() (runs int, bodyErr error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	runs, bodyErr = w.runs, w.bodyErr
	w.runs, w.bodyErr = 0, nil
	return runs, bodyErr
}

// record returns the record of the exchange that has just ended.
func (w *witness) record(tb testing.TB) culvert.Record {
	tb.Helper()
	select {
	case record := <-w.records:
		return record
	case <-time.After(10 * time.Second):
		tb.Fatal("the exchange does not end")
		return culvert.Record{}
	}
}

// expectRefusal checks that an RPC ended with a cause, its code, and a message
// that contains says, and that the server's own record agrees.
func (w *witness) expectRefusal(t *testing.T, got outcome, cause culvertv1.Cause, says string) {
	t.Helper()
	if got.cause != cause || got.code != codeOfCause[cause] || !got.hasDetail {
		t.Errorf("got %v, want %v", got, cause)
	}
	if !strings.Contains(got.message, says) {
		t.Errorf("the message %q does not say %q", got.message, says)
	}
	if len(got.message) > 1000 {
		t.Errorf("the message has %d bytes", len(got.message))
	}
	record := w.record(t)
	var tunnelErr *culvert.Error
	// What connect decompresses for Call and Download fails where nothing of ours
	// sees it.
	unseen := (strings.Contains(got.message, "gzip") || strings.Contains(got.message, "over the limit of")) && record.Peer.Method != "Exchange" && record.Peer.Method != "Upload"
	if !errors.As(record.Err, &tunnelErr) || tunnelErr.Cause != cause && !unseen {
		t.Errorf("the record's error is %v, want %v", record.Err, cause)
	}
}

func marshalJSON(tb testing.TB, message proto.Message) []byte {
	tb.Helper()
	data, err := protojson.Marshal(message)
	if err != nil {
		tb.Fatal(err)
	}
	return data
}

func unmarshalJSON(tb testing.TB, data []byte, message proto.Message) {
	tb.Helper()
	if err := protojson.Unmarshal(data, message); err != nil {
		tb.Fatal(err)
	}
}

// asCall returns the message of Call that says the same as a frame.
func asCall(frame *culvertv1.RequestFrame) *culvertv1.HTTPRequest {
	head := frame.GetHead()
	return &culvertv1.HTTPRequest{
		Method: head.GetMethod(), Scheme: head.GetScheme(), Authority: head.GetAuthority(),
		Path: head.GetPath(), RawPath: head.GetRawPath(), Headers: head.GetHeaders(),
		HttpVersion: head.GetHttpVersion(), ClientAddress: head.GetClientAddress(),
		Body: frame.GetData(), Trailers: frame.GetTrailers(),
	}
}

// messagesFor returns the messages that say the same as frames in a method, nil
// if the method cannot say it.
func messagesFor(method string, frames []*culvertv1.RequestFrame) []proto.Message {
	whole := len(frames) == 1 && frames[0].GetHead() != nil && frames[0].GetEnd()
	switch {
	case method == "Call" && whole:
		return []proto.Message{asCall(frames[0])}
	case (method == "Call" || method == "Download") && !whole:
		return nil
	}
	messages := make([]proto.Message, 0, len(frames))
	for _, frame := range frames {
		messages = append(messages, frame)
	}
	return messages
}

// everyWay calls f for every way to send frames: all methods that can say it, in
// all protocols and codecs, over both versions of HTTP.
func everyWay(t *testing.T, only []string, frames []*culvertv1.RequestFrame, f func(t *testing.T, w rpcWire, method string, body []byte)) {
	t.Helper()
	for _, method := range []string{"Exchange", "Upload", "Download", "Call"} {
		messages := messagesFor(method, frames)
		if messages == nil && len(frames) > 0 || only != nil && !slices.Contains(only, method) {
			continue
		}
		for _, w := range rpcWires {
			if len(messages) == 0 && !w.enveloped(method) && w.codec == "proto" {
				continue // no bytes are a message: one whose fields are all empty
			}
			if w.carries(method) {
				t.Run(method+"/"+w.String(), func(t *testing.T) { f(t, w, method, w.body(t, method, messages...)) })
			}
		}
	}
}

// badFrames is a request that breaks a rule, in frames.
type badFrames struct {
	name   string
	frames []*culvertv1.RequestFrame
	opts   []culvert.HandlerOption
	only   []string // methods; nil: all that can say it
	cause  culvertv1.Cause
	says   string // is in the message
	// begins says that the handler has begun before the server can know. It then
	// must see the truncation.
	begins bool
	// complete says that the handler has seen all of the request before what is
	// wrong came.
	complete bool
}

func (row *badFrames) run(t *testing.T) {
	seen := newWitness(nil)
	tunnel := seen.serve(t, row.opts...)
	everyWay(t, row.only, row.frames, func(t *testing.T, w rpcWire, method string, body []byte) {
		measure := measure
		if len(body) > 3<<19 {
			measure = measureLive
		}
		measure(t, func() {
			seen.expectRefusal(t, tunnel.call(t, w, method, bytes.NewReader(body)), row.cause, row.says)
		})
		runs, err := seen.forget()
		switch {
		case runs > 0 && !row.begins && !row.complete:
			t.Errorf("the handler ran")
		case row.begins && (runs != 1 || !errors.Is(err, io.ErrUnexpectedEOF)):
			t.Errorf("the handler ran %d times and saw %v, want io.ErrUnexpectedEOF", runs, err)
		case row.complete && (runs != 1 || err != nil):
			t.Errorf("the handler ran %d times and saw %v", runs, err)
		}
	})
}

func runBadFrames(t *testing.T, rows []badFrames) {
	for i := range rows {
		t.Run(rows[i].name, rows[i].run)
	}
}

// frames of which the tests make requests.

func headFrame(path string, fields ...*culvertv1.Field) *culvertv1.RequestFrame {
	return &culvertv1.RequestFrame{Head: &culvertv1.RequestHead{Method: "POST", Path: path, Headers: fields}}
}

func dataFrame(data string) *culvertv1.RequestFrame {
	return &culvertv1.RequestFrame{Data: []byte(data)}
}

func endFrame(trailers ...*culvertv1.Field) *culvertv1.RequestFrame {
	return &culvertv1.RequestFrame{End: true, Trailers: trailers}
}

// whole returns a request in one frame.
func whole(head *culvertv1.RequestHead, data string, trailers ...*culvertv1.Field) []*culvertv1.RequestFrame {
	return []*culvertv1.RequestFrame{{Head: head, Data: []byte(data), End: true, Trailers: trailers}}
}

// withFields returns a request in one frame, with a body of five bytes.
func withFields(fields ...*culvertv1.Field) []*culvertv1.RequestFrame {
	return whole(&culvertv1.RequestHead{Method: "POST", Path: "/", Headers: fields}, "12345")
}

func field(name, value string) *culvertv1.Field {
	return &culvertv1.Field{Name: name, Value: value}
}

func rawField(name, value string) *culvertv1.Field {
	return &culvertv1.Field{Name: name, RawValue: []byte(value)}
}

func manyFields(n int) []*culvertv1.Field {
	fields := make([]*culvertv1.Field, n)
	for i := range fields {
		fields[i] = field("x", "")
	}
	return fields
}
