package wire

import (
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	culvertv1 "github.com/culvert-http/culvert/api/culvert/v1"
)

// requests and responses are messages of every shape.
var (
	requests = []*culvertv1.RequestFrame{
		{},
		{End: true},
		{Data: []byte("data"), End: true, Trailers: []*culvertv1.Field{{Name: "a", Value: "b"}, {Name: "c"}}},
		{Head: &culvertv1.RequestHead{}},
		{Head: &culvertv1.RequestHead{
			Method: "GET", Scheme: "https", Authority: "host:1", Path: "/é", RawPath: []byte("/\xff"),
			Headers: []*culvertv1.Field{
				{Name: "accept", Value: "text/html"}, {Name: "x", RawValue: []byte("\xff")}, {}, {Name: "x", Value: "ü"},
			},
			HttpVersion: culvertv1.HTTPVersion_HTTP_VERSION_2_0, Upgrade: "websocket", ClientAddress: "[::1]:5",
			NotifyAccepted: true, TimeoutMs: 1 << 40,
		}, Data: make([]byte, 300)},
		{Head: &culvertv1.RequestHead{HttpVersion: -1}},
	}
	responses = []*culvertv1.ResponseFrame{
		{},
		{Accepted: true},
		{End: true, Data: make([]byte, 1<<16)},
		{Head: &culvertv1.ResponseHead{}},
		{
			Informational: []*culvertv1.InformationalHead{{Status: 100}, {}, {Status: 103, Headers: []*culvertv1.Field{{Name: "link", Value: "x"}}}},
			Head: &culvertv1.ResponseHead{
				Status: 1<<32 - 1, Upgrade: "websocket", Headers: []*culvertv1.Field{{Name: "Content-Type", Value: "text/plain"}, {Name: "a"}},
			},
			Data: []byte("x"), End: true, Trailers: []*culvertv1.Field{{Name: "t", Value: "v"}},
		},
	}
)

func TestAppend(t *testing.T) {
	for _, want := range requests {
		var got culvertv1.RequestFrame
		if err := proto.Unmarshal(AppendRequest(nil, want), &got); err != nil || !proto.Equal(&got, want) {
			t.Errorf("%v\nbecame %v: %v", want, &got, err)
		}
	}
	for _, want := range responses {
		var got culvertv1.ResponseFrame
		if err := proto.Unmarshal(AppendResponse(nil, want), &got); err != nil || !proto.Equal(&got, want) {
			t.Errorf("%v\nbecame %v: %v", want, &got, err)
		}
	}
}

// TestEveryField fails when the messages have a field that is not known here.
func TestEveryField(t *testing.T) {
	request, response := new(culvertv1.RequestFrame), new(culvertv1.ResponseFrame)
	fill(request.ProtoReflect())
	fill(response.ProtoReflect())
	var reader Reader
	gotRequest, gotResponse := new(culvertv1.RequestFrame), new(culvertv1.ResponseFrame)
	if err := reader.Request(AppendRequest(nil, request), gotRequest); err != nil || !proto.Equal(gotRequest, request) {
		t.Errorf("%v\nbecame %v: %v", request, gotRequest, err)
	}
	if err := reader.Response(AppendResponse(nil, response), gotResponse); err != nil || !proto.Equal(gotResponse, response) {
		t.Errorf("%v\nbecame %v: %v", response, gotResponse, err)
	}
}

// fill sets every field of a message, and of those in it.
func fill(message protoreflect.Message) {
	fields := message.Descriptor().Fields()
	for i := range fields.Len() {
		field := fields.Get(i)
		switch {
		case field.IsList():
			fill(message.Mutable(field).List().AppendMutable().Message())
		case field.Message() != nil:
			fill(message.Mutable(field).Message())
		case field.Kind() == protoreflect.EnumKind:
			message.Set(field, protoreflect.ValueOfEnum(3))
		case field.Kind() == protoreflect.BoolKind:
			message.Set(field, protoreflect.ValueOfBool(true))
		case field.Kind() == protoreflect.BytesKind:
			message.Set(field, protoreflect.ValueOfBytes([]byte("bytes")))
		case field.Kind() == protoreflect.StringKind:
			message.Set(field, protoreflect.ValueOfString("text"))
		case field.Kind() == protoreflect.Uint32Kind:
			message.Set(field, protoreflect.ValueOfUint32(300))
		default:
			message.Set(field, protoreflect.ValueOfUint64(1<<40))
		}
	}
}

// FuzzReadRequest compares with protobuf's own reader.
func FuzzReadRequest(f *testing.F) {
	for _, frame := range requests {
		f.Add(marshal(f, frame))
	}
	f.Add([]byte("\x0a\x02\x0a\x00\x0a\x02\x0a\x00"))
	f.Add([]byte("\x0a\x03\x0a\x01\xff"))
	f.Fuzz(func(t *testing.T, message []byte) {
		var reader Reader
		defer reader.Release()
		want, got := new(culvertv1.RequestFrame), &culvertv1.RequestFrame{End: true, Data: []byte("old")}
		compare(t, message, want, got, reader.Request(message, got))
	})
}

// FuzzReadResponse compares with protobuf's own reader.
func FuzzReadResponse(f *testing.F) {
	for _, frame := range responses {
		f.Add(marshal(f, frame))
	}
	f.Add([]byte("\x2a\x03\x1a\x01\xff"))
	f.Fuzz(func(t *testing.T, message []byte) {
		var reader Reader
		defer reader.Release()
		want, got := new(culvertv1.ResponseFrame), &culvertv1.ResponseFrame{Accepted: true}
		compare(t, message, want, got, reader.Response(message, got))
	})
}

func marshal(tb testing.TB, message proto.Message) []byte {
	tb.Helper()
	b, err := proto.Marshal(message)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

// compare fails unless protobuf has read the same, or found the same wrong.
func compare(t *testing.T, message []byte, want, got proto.Message, err error) {
	t.Helper()
	wanted := proto.UnmarshalOptions{DiscardUnknown: true}.Unmarshal(message, want)
	if (err == nil) != (wanted == nil) {
		t.Fatalf("%x: %v, but protobuf: %v", message, err, wanted)
	}
	if err == nil && !proto.Equal(got, want) {
		t.Fatalf("%x:\n%v\nbut protobuf:\n%v", message, got, want)
	}
}

func BenchmarkReadRequest(b *testing.B) {
	message := marshal(b, &culvertv1.RequestFrame{Head: &culvertv1.RequestHead{
		Method: "GET", Scheme: "http", Authority: "127.0.0.1:8080", Path: "/x",
		Headers: []*culvertv1.Field{
			{Name: "Accept", Value: "text/plain"}, {Name: "User-Agent", Value: "bench"}, {Name: "X-A", Value: "b"},
		},
	}, End: true})
	b.Run("wire", func(b *testing.B) {
		b.ReportAllocs()
		var frame culvertv1.RequestFrame
		var reader Reader
		for b.Loop() {
			if err := reader.Request(message, &frame); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("protobuf", func(b *testing.B) {
		b.ReportAllocs()
		var frame culvertv1.RequestFrame
		for b.Loop() {
			if err := proto.Unmarshal(message, &frame); err != nil {
				b.Fatal(err)
			}
		}
	})
}
