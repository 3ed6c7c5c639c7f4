// Package wire reads and writes the frames of docs/protocol.md in protobuf's
// binary form. It does what google.golang.org/protobuf does for the same
// messages, for what a frame costs is most of what a small exchange costs: no
// reflection, one string for all text of a head, one block for all its fields.
//
// It drops fields that it does not know, where protobuf's own keeps them.
package wire

import (
	"errors"
	"math"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
)

// errMalformed is the error of bytes that are not the message they should be.
var errMalformed = errors.New("malformed message")

// text reads a message from a string, so that its strings need no memory of their
// own.
type text struct {
	rest string
}

// varint reads a varint.
func (t *text) varint() (uint64, bool) {
	if len(t.rest) > 0 && t.rest[0] < 0x80 {
		value := uint64(t.rest[0])
		t.rest = t.rest[1:]
		return value, true
	}
	var value uint64
	for i := range min(len(t.rest), 10) {
		c := t.rest[i]
		if i == 9 && c > 1 {
			return 0, false
		}
		value |= uint64(c&0x7f) << (7 * i)
		if c < 0x80 {
			t.rest = t.rest[i+1:]
			return value, true
		}
	}
	return 0, false
}

// tag reads the number and the kind of a field.
func (t *text) tag() (protowire.Number, protowire.Type, bool) {
	value, ok := t.varint()
	if !ok || value>>3 == 0 || value>>3 > math.MaxInt32 {
		return 0, 0, false
	}
	number := protowire.Number(value >> 3)
	return number, protowire.Type(value & 7), number <= protowire.MaxValidNumber
}

// bytes reads a value that has a length.
func (t *text) bytes() (string, bool) {
	size, ok := t.varint()
	if !ok || size > uint64(len(t.rest)) {
		return "", false
	}
	value := t.rest[:size]
	t.rest = t.rest[size:]
	return value, true
}

// string reads a string, which must be UTF-8.
func (t *text) string(into *string) bool {
	value, ok := t.bytes()
	*into = value
	return ok && utf8.ValidString(value)
}

// skip passes over a value that is not known.
func (t *text) skip(number protowire.Number, kind protowire.Type) bool {
	if kind == protowire.BytesType {
		_, ok := t.bytes()
		return ok
	}
	n := protowire.ConsumeFieldValue(number, kind, []byte(t.rest))
	if n < 0 {
		return false
	}
	t.rest = t.rest[n:]
	return true
}
