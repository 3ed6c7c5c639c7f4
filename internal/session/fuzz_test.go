package session_test

import (
	"bytes"
	"testing"

	"google.golang.org/protobuf/proto"

	culvertv1 "github.com/culvert-http/culvert/api/culvert/v1"
	"github.com/culvert-http/culvert/internal/session"
)

// seedMessages are messages of every kind, for fuzzing to begin with.
func seedMessages(tb testing.TB) [][]byte {
	tb.Helper()
	var all [][]byte
	for _, frames := range [][]*culvertv1.ServerFrame{
		{},
		{hello()},
		{opening(tb, 1), part(tb, 1, &culvertv1.ResponseFrame{Data: []byte("hi"), End: true})},
		{{Exchange: 1, Credit: 100}, {Credit: 1 << 20}},
		{{Exchange: 1, Stop: true}, {Exchange: 3, Reset_: &culvertv1.Reset{Message: "x"}}},
		{{Ping: &culvertv1.Ping{Number: 1}}, {Ping: &culvertv1.Ping{Number: 1, Answer: true}}},
		{{Drain: &culvertv1.Drain{LastExchange: 1}}},
		{opening(tb, 3), opening(tb, 5), {Exchange: 3, Credit: 5, Stop: true, Part: &culvertv1.ResponseFrame{End: true}}},
	} {
		message, err := proto.Marshal(&culvertv1.SessionResponse{Frames: frames})
		if err != nil {
			tb.Fatal(err)
		}
		all = append(all, message)
	}
	return append(all, raw(), raw(0x08, 0x05, 0x12, 0x00), []byte{0x0a, 0x05}, raw(0x0b, 0x0c))
}

// Whatever arrives, nothing panics, what is kept is bounded, and it is what the
// ledger says.
func FuzzDeliver(f *testing.F) {
	for _, message := range seedMessages(f) {
		f.Add(true, message, message)
		f.Add(false, message, message)
	}
	f.Fuzz(func(t *testing.T, server bool, first, second []byte) {
		p := facing(t, session.Config{Server: server})
		p.mustSay(hello())
		if !server {
			p.open(2)
		}
		for _, message := range [][]byte{first, second} {
			err := p.of.Deliver(bytes.Clone(message))
			all, each := p.of.Ledgers()
			if all.Held > int64(len(first)+len(second))*32 {
				t.Errorf("%d bytes are held of %d", all.Held, len(first)+len(second))
			}
			if len(each) > 100 {
				t.Errorf("there are %d exchanges", len(each))
			}
			if err != nil {
				return
			}
			held := int64(0)
			for _, one := range each {
				held += one.Held
			}
			if held != all.Held || all.Allowance > session.SessionWindow || all.Allowance+held > session.DefaultMaxBytes {
				t.Errorf("%d bytes are held, and the ledger is %+v", held, all)
			}
			p.hears()
		}
	})
}

// What a session reads from a message is what protobuf reads, but that fields
// stand there once.
func FuzzFrames(f *testing.F) {
	for _, message := range seedMessages(f) {
		f.Add(message)
	}
	f.Fuzz(func(t *testing.T, message []byte) {
		frames, err := session.Frames(message)
		want := &culvertv1.SessionResponse{}
		wantErr := proto.Unmarshal(message, want)
		if err != nil || wantErr != nil {
			return // an inner message can be malformed, which is found later
		}
		if len(frames) != len(want.GetFrames()) {
			t.Fatalf("%d frames, want %d", len(frames), len(want.GetFrames()))
		}
		for i, got := range frames {
			frame := want.GetFrames()[i]
			if got.Exchange != frame.GetExchange() || got.Credit != frame.GetCredit() || got.Stop != frame.GetStop() {
				t.Errorf("frame %d is %+v, want %v", i, got, frame)
			}
			for _, inner := range []struct {
				data []byte
				into proto.Message
				want proto.Message
			}{
				{got.Part, &culvertv1.ResponseFrame{}, frame.GetPart()},
				{got.Reset, &culvertv1.Reset{}, frame.GetReset_()},
				{got.Hello, &culvertv1.Hello{}, frame.GetHello()},
				{got.Ping, &culvertv1.Ping{}, frame.GetPing()},
				{got.Drain, &culvertv1.Drain{}, frame.GetDrain()},
			} {
				if err := proto.Unmarshal(inner.data, inner.into); err != nil {
					t.Errorf("frame %d: %v", i, err)
				}
				if inner.want.ProtoReflect().IsValid() != (inner.data != nil) {
					t.Errorf("frame %d: %T is there, or not: %x", i, inner.want, inner.data)
				}
				if inner.data != nil && !proto.Equal(inner.into, inner.want) {
					t.Errorf("frame %d has %v, want %v", i, inner.into, inner.want)
				}
			}
		}
	})
}

// What a session writes is what protobuf reads.
func FuzzAppendFrame(f *testing.F) {
	f.Add(uint64(1), uint64(0), []byte("\x12\x02hi"), uint64(0), "")
	f.Add(uint64(1<<40+1), uint64(1<<31-1), []byte(nil), uint64(0), "")
	f.Add(uint64(0), uint64(0), []byte(nil), uint64(7), "")
	f.Add(uint64(3), uint64(0), []byte(nil), uint64(0), "given up")
	f.Fuzz(func(t *testing.T, id, credit uint64, part []byte, ping uint64, text string) {
		inner := &culvertv1.ResponseFrame{}
		if proto.Unmarshal(part, inner) != nil || credit > 1<<31-1 || !validText(text) {
			t.Skip()
		}
		frame := &culvertv1.ServerFrame{Exchange: id}
		switch {
		case len(part) > 0:
			frame.Part = inner
		case credit > 0:
			frame.Credit = credit
		case ping > 0:
			frame.Ping = &culvertv1.Ping{Number: ping}
		default:
			frame.Reset_ = &culvertv1.Reset{Message: text}
		}
		message := session.AppendFrame(nil, frame, part)
		message = session.AppendFrame(message, frame, part)
		got := &culvertv1.SessionResponse{}
		if err := proto.Unmarshal(message, got); err != nil {
			t.Fatal(err)
		}
		want := &culvertv1.SessionResponse{Frames: []*culvertv1.ServerFrame{frame, frame}}
		if !proto.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
	})
}

func validText(text string) bool {
	_, err := proto.Marshal(&culvertv1.Reset{Message: text})
	return err == nil
}

// A session looks for the end of a part without reading all of it.
func FuzzEndsPart(f *testing.F) {
	for _, part := range []*culvertv1.RequestFrame{
		{},
		{End: true},
		{Head: &culvertv1.RequestHead{Path: "/"}, Data: []byte("hi"), End: true, Trailers: []*culvertv1.Field{{Name: "a", Value: "b"}}},
	} {
		data, err := proto.Marshal(part)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add([]byte{0x18, 0x01, 0x18, 0x00})
	f.Add([]byte{0x18, 0x82, 0x00})
	f.Add([]byte{0x1a, 0x01, 0x01})
	f.Add([]byte{0x18})
	f.Add([]byte{0x0b, 0x0c})
	f.Fuzz(func(t *testing.T, part []byte) {
		end, ok := session.EndsPart(part)
		request, response := &culvertv1.RequestFrame{}, &culvertv1.ResponseFrame{}
		requestErr, responseErr := proto.Unmarshal(part, request), proto.Unmarshal(part, response)
		if !ok && (requestErr == nil || responseErr == nil) {
			t.Errorf("%x is taken for malformed", part)
		}
		if requestErr == nil && end != request.GetEnd() || responseErr == nil && end != response.GetEnd() {
			t.Errorf("the end of %x is %t", part, end)
		}
	})
}
