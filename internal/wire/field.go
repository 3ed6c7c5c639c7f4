package wire

import (
	"sync"

	"google.golang.org/protobuf/encoding/protowire"

	culvertv1 "github.com/culvert-http/culvert/api/culvert/v1"
)

// Numbers of the fields of the messages in message.proto.
const (
	fieldName     = 1
	fieldValue    = 2
	fieldRawValue = 3

	frameData     = 2 // of RequestFrame and ResponseFrame
	frameEnd      = 3
	frameTrailers = 4

	requestHead = 1

	requestMethod         = 1
	requestScheme         = 2
	requestAuthority      = 3
	requestPath           = 4
	requestRawPath        = 5
	requestHeaders        = 6
	requestHTTPVersion    = 7
	requestUpgrade        = 8
	requestClientAddress  = 9
	requestNotifyAccepted = 10
	requestTimeout        = 11

	responseHead          = 1
	responseInformational = 5
	responseAccepted      = 6

	responseStatus  = 1 // of ResponseHead and InformationalHead
	responseHeaders = 2
	responseUpgrade = 3
)

// block is the memory of a head and its fields.
type block struct {
	request  culvertv1.RequestHead
	response culvertv1.ResponseHead
	used     int // of fields
	fields   [blockFields]culvertv1.Field
	list     [blockFields]*culvertv1.Field
}

// blockFields is how many fields a block has room for; those beyond have memory
// of their own.
const blockFields = 16

var blocks = sync.Pool{New: func() any { return new(block) }}

func newBlock() *block { return blocks.Get().(*block) }

func (b *block) release() {
	clearRequest(&b.request)
	b.response.Status, b.response.Headers, b.response.Upgrade = 0, nil, ""
	clear(b.fields[:b.used])
	clear(b.list[:b.used])
	b.used = 0
	blocks.Put(b)
}

func clearRequest(head *culvertv1.RequestHead) {
	head.Method, head.Scheme, head.Authority, head.Path, head.RawPath = "", "", "", "", nil
	head.Headers, head.HttpVersion, head.Upgrade, head.ClientAddress = nil, 0, "", ""
	head.NotifyAccepted, head.TimeoutMs = false, 0
}

// readField reads the next field of a head.
func (b *block) readField(t *text, list *[]*culvertv1.Field) bool {
	part, ok := t.bytes()
	if !ok {
		return false
	}
	if b.used == len(b.fields) {
		return appendField(text{part}, list)
	}
	if *list == nil {
		*list = b.list[:0]
	}
	field := &b.fields[b.used]
	b.used++
	*list = append(*list, field)
	return readField(text{part}, field)
}

// appendField reads a field that stands alone.
func appendField(t text, list *[]*culvertv1.Field) bool {
	field := new(culvertv1.Field)
	*list = append(*list, field)
	return readField(t, field)
}

func readField(t text, field *culvertv1.Field) bool {
	for len(t.rest) > 0 {
		number, kind, ok := t.tag()
		switch {
		case !ok:
		case kind != protowire.BytesType:
			ok = t.skip(number, kind)
		case number == fieldName:
			ok = t.string(&field.Name)
		case number == fieldValue:
			ok = t.string(&field.Value)
		case number == fieldRawValue:
			var raw string
			raw, ok = t.bytes()
			field.RawValue = []byte(raw)
		default:
			_, ok = t.bytes()
		}
		if !ok {
			return false
		}
	}
	return true
}

func sizeOfString(s string) int {
	if s == "" {
		return 0
	}
	return 1 + protowire.SizeBytes(len(s))
}

func sizeOfBytes(b []byte) int {
	if len(b) == 0 {
		return 0
	}
	return 1 + protowire.SizeBytes(len(b))
}

func sizeOfNumber(n uint64) int {
	if n == 0 {
		return 0
	}
	return 1 + protowire.SizeVarint(n)
}

func sizeOfFlag(set bool) int {
	if !set {
		return 0
	}
	return 2
}

func sizeOfField(field *culvertv1.Field) int {
	return sizeOfString(field.GetName()) + sizeOfString(field.GetValue()) + sizeOfBytes(field.GetRawValue())
}

func sizeOfFields(fields []*culvertv1.Field) int {
	size := 0
	for _, field := range fields {
		size += 1 + protowire.SizeBytes(sizeOfField(field))
	}
	return size
}

func appendTag(b []byte, number protowire.Number, kind protowire.Type) []byte {
	return append(b, byte(number)<<3|byte(kind)) // all numbers are under 16
}

func appendString(b []byte, number protowire.Number, s string) []byte {
	if s == "" {
		return b
	}
	return protowire.AppendString(appendTag(b, number, protowire.BytesType), s)
}

func appendBytes(b []byte, number protowire.Number, value []byte) []byte {
	if len(value) == 0 {
		return b
	}
	return protowire.AppendBytes(appendTag(b, number, protowire.BytesType), value)
}

func appendNumber(b []byte, number protowire.Number, value uint64) []byte {
	if value == 0 {
		return b
	}
	return protowire.AppendVarint(appendTag(b, number, protowire.VarintType), value)
}

func appendFlag(b []byte, number protowire.Number, set bool) []byte {
	if !set {
		return b
	}
	return append(appendTag(b, number, protowire.VarintType), 1)
}

func appendFields(b []byte, number protowire.Number, fields []*culvertv1.Field) []byte {
	for _, field := range fields {
		b = protowire.AppendVarint(appendTag(b, number, protowire.BytesType), uint64(sizeOfField(field)))
		b = appendString(b, fieldName, field.GetName())
		b = appendString(b, fieldValue, field.GetValue())
		b = appendBytes(b, fieldRawValue, field.GetRawValue())
	}
	return b
}
