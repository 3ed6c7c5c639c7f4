package session

import (
	"strings"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	culvertv1 "github.com/culvert-http/culvert/api/culvert/v1"
)

// Numbers of the fields of ClientFrame and ServerFrame, which are the same.
const (
	framesNumber = 1 // in SessionRequest and SessionResponse

	exchangeNumber = 1
	partNumber     = 2
	creditNumber   = 3
	stopNumber     = 4
	resetNumber    = 5
	helloNumber    = 6
	pingNumber     = 7
	drainNumber    = 8

	dataNumber = 2 // in RequestFrame and ResponseFrame
	endNumber  = 3
)

// frame is a frame as it was received. Its slices are of the message.
type frame struct {
	exchange uint64
	part     []byte
	credit   uint64
	stop     bool
	reset    []byte
	hello    []byte
	ping     []byte
	drain    []byte
	has      uint16 // a bit a number
}

// eachFrame calls do for the frames of a message, until it returns an error. f is
// memory for them.
func eachFrame(message []byte, f *frame, do func(*frame) error) error {
	for len(message) > 0 {
		number, kind, n := protowire.ConsumeTag(message)
		if n < 0 {
			return violation("malformed message")
		}
		message = message[n:]
		if number != framesNumber || kind != protowire.BytesType {
			if n = protowire.ConsumeFieldValue(number, kind, message); n < 0 {
				return violation("malformed message")
			}
			message = message[n:]
			continue
		}
		body, n := protowire.ConsumeBytes(message)
		if n < 0 {
			return violation("malformed message")
		}
		message = message[n:]
		*f = frame{}
		if err := f.parse(body); err != nil {
			return err
		}
		if err := do(f); err != nil {
			return err
		}
	}
	return nil
}

func (f *frame) parse(body []byte) error {
	for len(body) > 0 {
		number, kind, n := protowire.ConsumeTag(body)
		if n < 0 {
			return violation("malformed frame")
		}
		body = body[n:]
		if n = f.parseField(number, kind, body); n < 0 {
			return violation("malformed frame")
		}
		body = body[n:]
	}
	return nil
}

// parseField reads one field, and returns its length, negative if it is
// malformed or stands there twice.
func (f *frame) parseField(number protowire.Number, kind protowire.Type, body []byte) int {
	if number > drainNumber {
		return protowire.ConsumeFieldValue(number, kind, body)
	}
	if f.has&(1<<number) != 0 {
		return -1
	}
	f.has |= 1 << number
	switch {
	case kind == protowire.VarintType && (number == exchangeNumber || number == creditNumber || number == stopNumber):
		value, n := protowire.ConsumeVarint(body)
		switch number {
		case exchangeNumber:
			f.exchange = value
		case creditNumber:
			f.credit = value
		default:
			f.stop = value != 0
		}
		return n
	case kind == protowire.BytesType && number != exchangeNumber && number != creditNumber && number != stopNumber:
		value, n := protowire.ConsumeBytes(body)
		f.set(number, value)
		return n
	default:
		return -1
	}
}

func (f *frame) set(number protowire.Number, value []byte) {
	switch int(number) {
	case partNumber:
		f.part = value
	case resetNumber:
		f.reset = value
	case helloNumber:
		f.hello = value
	case pingNumber:
		f.ping = value
	case drainNumber:
		f.drain = value
	}
}

func (f *frame) hasField(number int) bool { return f.has&(1<<number) != 0 }

// partOverhead is what a part costs beside its own bytes: a receiver keeps each
// one by itself.
const partOverhead = 32

// partCost is what a part of so many bytes takes of the credit of who sends it.
func partCost(size int) int64 {
	if size == 0 {
		return 0
	}
	return int64(size) + partOverhead
}

// endsPart reports whether a part has its end set, and whether it is well-formed
// as far as that needs.
func endsPart(part []byte) (end, ok bool) {
	for len(part) > 0 {
		number, kind, n := protowire.ConsumeTag(part)
		if n < 0 {
			return false, false
		}
		part = part[n:]
		if number == endNumber && kind == protowire.VarintType {
			value, n := protowire.ConsumeVarint(part)
			if n < 0 {
				return false, false
			}
			end = value != 0
			part = part[n:]
			continue
		}
		if n = protowire.ConsumeFieldValue(number, kind, part); n < 0 {
			return false, false
		}
		part = part[n:]
	}
	return end, true
}

// maxPartData is how much data a part may have, in bytes.
const maxPartData = 256 << 10

// dataOfPart returns how much data a part of a request has, which is well-formed.
func dataOfPart(part []byte) int {
	for len(part) > 0 {
		number, kind, n := protowire.ConsumeTag(part)
		part = part[n:]
		n = protowire.ConsumeFieldValue(number, kind, part)
		if number == dataNumber {
			return n
		}
		part = part[n:]
	}
	return 0
}

// appendPart adds a frame with a part, which is the two pieces together, to the
// batch.
func (s *Session) appendPart(id uint64, meta, data []byte) {
	size := len(meta) + len(data)
	inner := 1 + protowire.SizeVarint(id) + 1 + protowire.SizeBytes(size)
	b := s.batch
	b = protowire.AppendTag(b, framesNumber, protowire.BytesType)
	b = protowire.AppendVarint(b, uint64(inner))
	b = protowire.AppendTag(b, exchangeNumber, protowire.VarintType)
	b = protowire.AppendVarint(b, id)
	b = protowire.AppendTag(b, partNumber, protowire.BytesType)
	b = protowire.AppendVarint(b, uint64(size))
	b = append(b, meta...)
	b = append(b, data...)
	s.batch = b
}

// appendCredit adds a grant to the batch.
func (s *Session) appendCredit(id uint64, credit int64) {
	inner := 1 + protowire.SizeVarint(uint64(credit))
	if id != 0 {
		inner += 1 + protowire.SizeVarint(id)
	}
	b := s.batch
	b = protowire.AppendTag(b, framesNumber, protowire.BytesType)
	b = protowire.AppendVarint(b, uint64(inner))
	if id != 0 {
		b = protowire.AppendTag(b, exchangeNumber, protowire.VarintType)
		b = protowire.AppendVarint(b, id)
	}
	b = protowire.AppendTag(b, creditNumber, protowire.VarintType)
	s.batch = protowire.AppendVarint(b, uint64(credit))
}

// maxMessageText bounds the message of a reset, in bytes.
const maxMessageText = 1024

// cutMessage makes a text fit for a reset: short, and valid UTF-8.
func cutMessage(text string) string {
	if len(text) > maxMessageText {
		text = strings.Clone(text[:maxMessageText])
	}
	return strings.ToValidUTF8(text, "?")
}

// appendControl adds a frame without a part to the batch. What both kinds of
// frame have in common is written the same.
func (s *Session) appendControl(f *culvertv1.ServerFrame) {
	s.batch = protowire.AppendTag(s.batch, framesNumber, protowire.BytesType)
	s.batch = protowire.AppendVarint(s.batch, uint64(proto.Size(f)))
	s.batch, _ = proto.MarshalOptions{}.MarshalAppend(s.batch, f) // cannot fail: all strings are valid
	s.wakeWriter()
}
