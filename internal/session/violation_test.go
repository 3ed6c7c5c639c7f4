package session_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	culvertv1 "github.com/culvert-http/culvert/api/culvert/v1"
	"github.com/culvert-http/culvert/internal/session"
)

// raw is a message of one frame with these bytes.
func raw(frame ...byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), frame)
}

// Section 20.11: what ends the session.
func TestViolationsThatEndTheSession(t *testing.T) {
	big := uint64(1<<31 - 1)
	for name, row := range map[string]struct {
		client bool // the session under test is a client's, with exchange 1 open
		fresh  bool // it has no hello yet
		frames []*culvertv1.ServerFrame
		raw    []byte
		want   string
	}{
		"message that is cut":                       {raw: []byte{0x0a, 0x05, 0x08}, want: "malformed message"},
		"message with a bad tag":                    {raw: []byte{0x07}, want: "malformed message"},
		"message with an unknown field that is cut": {raw: []byte{0x12, 0x05, 0x08}, want: "malformed message"},
		"frame that is cut":                         {raw: raw(0x12, 0x05, 0x08), want: "malformed frame"},
		"frame with a bad tag":                      {raw: raw(0x07), want: "malformed frame"},
		"exchange twice in a frame":                 {raw: raw(0x08, 0x01, 0x08, 0x01), want: "malformed frame"},
		"credit that is not a number":               {raw: raw(0x1a, 0x00), want: "malformed frame"},
		"part that is a number":                     {raw: raw(0x10, 0x00), want: "malformed frame"},
		"ping that does not parse":                  {raw: raw(0x3a, 0x01, 0x08), want: "malformed ping"},
		"drain that does not parse":                 {client: true, raw: raw(0x42, 0x01, 0x08), want: "malformed drain"},
		"reset that does not parse":                 {client: true, raw: raw(0x08, 0x01, 0x2a, 0x01, 0x08), want: "malformed reset"},
		"reset with a message that is not UTF-8":    {client: true, raw: raw(0x08, 0x01, 0x2a, 0x03, 0x12, 0x01, 0xff), want: "malformed reset"},
		"hello that does not parse":                 {fresh: true, raw: raw(0x32, 0x01, 0x08), want: "malformed hello"},
		"no hello first": {
			fresh: true, frames: []*culvertv1.ServerFrame{opening(t, 1)}, want: "the first frame is not a hello alone",
		},
		"empty frame first": {
			fresh: true, frames: []*culvertv1.ServerFrame{{}}, want: "the first frame is not a hello alone",
		},
		"hello of an exchange": {
			fresh: true, frames: []*culvertv1.ServerFrame{{Exchange: 1, Hello: hello().Hello}}, want: "the first frame is not a hello alone",
		},
		"hello with more in its frame": {
			fresh: true, frames: []*culvertv1.ServerFrame{{Credit: 5, Hello: hello().Hello}}, want: "the first frame is not a hello alone",
		},
		"second hello":          {frames: []*culvertv1.ServerFrame{hello()}, want: "a second hello"},
		"hello of version 2":    {fresh: true, frames: helloWith(2, session.MinWindow), want: "version 2 is not known"},
		"window too small":      {fresh: true, frames: helloWith(1, session.MinWindow-1), want: "a window of 262143 bytes"},
		"window too large":      {fresh: true, frames: helloWith(1, 1<<31), want: "a window of 2147483648 bytes"},
		"part of the session":   {frames: []*culvertv1.ServerFrame{opening(t, 0)}, want: "a frame of the session has what only exchanges have"},
		"stop of the session":   {frames: []*culvertv1.ServerFrame{{Stop: true}}, want: "a frame of the session has what only exchanges have"},
		"reset of the session":  {frames: []*culvertv1.ServerFrame{{Reset_: &culvertv1.Reset{}}}, want: "a frame of the session has what only exchanges have"},
		"ping of an exchange":   {client: true, frames: []*culvertv1.ServerFrame{{Exchange: 1, Ping: &culvertv1.Ping{}}}, want: "a frame of exchange 1 is about the session"},
		"drain of an exchange":  {client: true, frames: []*culvertv1.ServerFrame{{Exchange: 1, Drain: &culvertv1.Drain{}}}, want: "a frame of exchange 1 is about the session"},
		"drain from the client": {frames: []*culvertv1.ServerFrame{{Drain: &culvertv1.Drain{}}}, want: "a drain from the client"},
		"even number":           {frames: []*culvertv1.ServerFrame{opening(t, 2)}, want: "exchange 2 has a number of the server's"},
		"even number to a client": {
			client: true, frames: []*culvertv1.ServerFrame{opening(t, 2)}, want: "a frame of exchange 2, which was never opened",
		},
		"exchange without a part": {
			frames: []*culvertv1.ServerFrame{{Exchange: 1, Stop: true}}, want: "a frame of exchange 1, which was never opened",
		},
		"exchange that the client did not open": {
			client: true, frames: []*culvertv1.ServerFrame{opening(t, 3)}, want: "a frame of exchange 3, which was never opened",
		},
		"too much credit at once":  {frames: []*culvertv1.ServerFrame{{Credit: big + 1}}, want: "too much credit"},
		"too much credit in all":   {frames: []*culvertv1.ServerFrame{{Credit: big - session.SessionWindow}, {Credit: 1}}, want: "too much credit"},
		"credit that is negative":  {frames: []*culvertv1.ServerFrame{{Credit: 1<<64 - 1}}, want: "too much credit"},
		"too much for an exchange": {client: true, frames: []*culvertv1.ServerFrame{{Exchange: 1, Credit: big}}, want: "too much credit for exchange 1"},
	} {
		t.Run(name, func(t *testing.T) {
			p := facing(t, session.Config{Server: !row.client})
			if !row.fresh {
				p.mustSay(hello())
			}
			if row.client {
				p.open(1)
			}
			message := row.raw
			if message == nil {
				message, _ = proto.Marshal(&culvertv1.SessionResponse{Frames: row.frames})
			}
			err := p.of.Deliver(message)
			if _, ok := errors.AsType[*session.ViolationError](err); !ok {
				t.Fatalf("deliver: %v, want a violation", err)
			}
			if want := "session: " + row.want; err.Error() != want {
				t.Errorf("got %q, want %q", err, want)
			}
			if again := p.of.Deliver(raw()); !errors.Is(again, err) {
				t.Errorf("the next message: %v, want the same error", again)
			}
			if row.client {
				if _, got := p.opened[0].Receive(); !errors.Is(got, err) {
					t.Errorf("an exchange: %v, want the same error", got)
				}
			}
		})
	}
}

func helloWith(version uint32, window uint64) []*culvertv1.ServerFrame {
	return []*culvertv1.ServerFrame{{Hello: &culvertv1.Hello{Version: version, Window: window}}}
}

// Sections 20.1 and 20.11: what looks odd and costs nothing.
func TestOddFramesThatCostNothing(t *testing.T) {
	for name, message := range map[string][]byte{
		"empty message":                    {},
		"empty frame":                      raw(),
		"unknown field in the message":     {0x12, 0x01, 0x00},
		"unknown field in a frame":         raw(0x78, 0x01),
		"stop that is false":               raw(0x20, 0x00),
		"credit of nothing":                raw(0x18, 0x00),
		"answer to no ping":                raw(0x3a, 0x04, 0x08, 0x07, 0x10, 0x01),
		"frames of a number left out":      append(raw(0x08, 0x01, 0x20, 0x01), raw(0x08, 0x03, 0x2a, 0x00)...),
		"empty part of an exchange":        raw(0x08, 0x05, 0x12, 0x00),
		"malformed reset that comes late":  raw(0x08, 0x01, 0x2a, 0x01, 0x08),
		"too much credit that comes late":  append(raw(0x08, 0x01, 0x18, 0xff, 0xff, 0xff, 0xff, 0x07), raw(0x08, 0x01, 0x18, 0x01)...),
		"stop of an exchange, and a reset": raw(0x08, 0x05, 0x20, 0x01, 0x2a, 0x00),
	} {
		t.Run(name, func(t *testing.T) {
			p := facingServer(t)
			p.mustSay(opening(t, 5))
			if err := p.of.Deliver(message); err != nil {
				t.Fatalf("deliver: %v", err)
			}
			if frames := p.hears(); len(frames) != 0 {
				t.Errorf("it was answered by %v", frames)
			}
		})
	}
}

// A ping is answered with what an answer has, not with all that came.
func TestPingAnswerHasNothingUnknown(t *testing.T) {
	p := facingServer(t)
	ping := &culvertv1.Ping{Number: 7}
	ping.ProtoReflect().SetUnknown(protowire.AppendBytes(protowire.AppendTag(nil, 15, protowire.BytesType), make([]byte, 1<<20)))
	p.mustSay(&culvertv1.ServerFrame{Ping: ping})
	frames := p.hears()
	if len(frames) != 1 || !proto.Equal(frames[0].GetPing(), &culvertv1.Ping{Number: 7, Answer: true}) {
		t.Errorf("the answer has %d bytes", proto.Size(frames[0]))
	}
}

// Section 20.4: the message of a reset has at most 1,024 bytes, and is text.
func TestResetMessageIsBounded(t *testing.T) {
	p := facingClient(t)
	p.open(2)
	p.mustSay(&culvertv1.ServerFrame{Exchange: 1, Reset_: &culvertv1.Reset{Message: strings.Repeat("é", 1<<19)}})
	var reset *session.ResetError
	if _, err := p.opened[0].Receive(); !errors.As(err, &reset) {
		t.Fatalf("received: %v, want a reset", err)
	}
	if n := len(reset.Message); n != 1024 {
		t.Errorf("received: a message of %d bytes", n)
	}
	p.hears()
	p.opened[1].Reset(culvertv1.Cause_CAUSE_CANCELED, false, "\xff"+strings.Repeat("é", 1000))
	frames := p.hears()
	if len(frames) != 1 {
		t.Fatalf("sent: %v", frames)
	}
	if text := frames[0].GetReset_().GetMessage(); len(text) != 1024 || !utf8.ValidString(text) {
		t.Errorf("sent: a message of %d bytes, %.10q", len(text), text)
	}
}

// Section 20.11: what ends an exchange alone.
func TestViolationsThatEndTheExchange(t *testing.T) {
	const malformed = culvertv1.Cause_CAUSE_MALFORMED_REQUEST
	end := &culvertv1.ResponseFrame{End: true}
	chunk := &culvertv1.ResponseFrame{Data: make([]byte, 200<<10)}
	for name, row := range map[string]struct {
		message []byte
		frames  []*culvertv1.ServerFrame
		cause   culvertv1.Cause
		text    string
	}{
		"part that does not parse": {message: raw(0x08, 0x01, 0x12, 0x01, 0x08), cause: malformed, text: "malformed part"},
		"part after the end": {
			frames: []*culvertv1.ServerFrame{part(t, 1, end), part(t, 1, end)}, cause: malformed, text: "a message after the end",
		},
		"part without credit": {
			frames: []*culvertv1.ServerFrame{part(t, 1, chunk), part(t, 1, chunk), part(t, 1, chunk)},
			cause:  malformed, text: "more than the exchange's credit",
		},
		"part that is too large": {
			frames: []*culvertv1.ServerFrame{part(t, 1, &culvertv1.ResponseFrame{Data: make([]byte, 640<<10)})},
			cause:  culvertv1.Cause_CAUSE_REQUEST_BODY_TOO_LARGE, text: "a part that is too large",
		},
		"part whose head is too large": {
			frames: []*culvertv1.ServerFrame{part(t, 1, &culvertv1.ResponseFrame{
				Head: &culvertv1.ResponseHead{Headers: []*culvertv1.Field{{Name: "x", Value: strings.Repeat("x", 640<<10)}}},
				Data: chunk.GetData(),
			})},
			cause: culvertv1.Cause_CAUSE_REQUEST_HEAD_TOO_LARGE, text: "a part that is too large",
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := facingServer(t)
			p.mustSay(opening(t, 1), opening(t, 3))
			if row.message != nil {
				if err := p.of.Deliver(row.message); err != nil {
					t.Fatal(err)
				}
			}
			p.mustSay(row.frames...)
			frames := p.hears()
			want := &culvertv1.Reset{Error: &culvertv1.TunnelError{Cause: row.cause}, Message: row.text}
			if len(frames) != 1 || frames[0].GetExchange() != 1 || !proto.Equal(frames[0].GetReset_(), want) {
				t.Fatalf("it was answered by %v, want %v", frames, want)
			}
			if _, err := p.accepted[0].Receive(); err == nil || !strings.Contains(err.Error(), row.text) {
				t.Errorf("the exchange: %v", err)
			}
			p.mustSay(part(t, 1, chunk)) // late by now
			if got, err := p.accepted[1].Receive(); err != nil || !bytes.Equal(got, openingPart(t)) {
				t.Errorf("the other exchange: %x, %v", got, err)
			}
		})
	}
}
