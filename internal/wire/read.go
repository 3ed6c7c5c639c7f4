package wire

import (
	"google.golang.org/protobuf/encoding/protowire"

	culvertv1 "github.com/culvert-http/culvert/api/culvert/v1"
)

// Reader reads messages into frames. It holds the memory of what it has read
// last. The zero value is ready for use.
type Reader struct{ block *block }

// Release lets the memory of what was read last be used for something else. The
// frame keeps its data, and all strings.
func (r *Reader) Release() {
	if r.block != nil {
		r.block.release()
		r.block = nil
	}
}

// Request reads message into frame, whose earlier content is lost. The frame's
// data is a part of message; its head and its fields are valid until the next call
// and until Release.
func (r *Reader) Request(message []byte, frame *culvertv1.RequestFrame) error {
	r.Release()
	frame.Head, frame.Data, frame.End, frame.Trailers = nil, nil, false, nil
	for len(message) > 0 {
		number, kind, n := protowire.ConsumeTag(message)
		if n < 0 || number > protowire.MaxValidNumber {
			return errMalformed
		}
		message = message[n:]
		switch {
		case number == requestHead && kind == protowire.BytesType:
			if r.block == nil {
				r.block = newBlock()
			}
			frame.Head = &r.block.request
			n = readPart(message, r.block.readRequestHead)
		case number == frameData && kind == protowire.BytesType:
			frame.Data, n = protowire.ConsumeBytes(message)
		case number == frameEnd && kind == protowire.VarintType:
			frame.End, n = readBool(message)
		case number == frameTrailers && kind == protowire.BytesType:
			n = readPart(message, func(part text) bool { return appendField(part, &frame.Trailers) })
		default:
			n = protowire.ConsumeFieldValue(number, kind, message)
		}
		if n < 0 {
			return errMalformed
		}
		message = message[n:]
	}
	return nil
}

// Response is Request for the other direction.
func (r *Reader) Response(message []byte, frame *culvertv1.ResponseFrame) error {
	r.Release()
	frame.Head, frame.Data, frame.End, frame.Trailers = nil, nil, false, nil
	frame.Informational, frame.Accepted = nil, false
	for len(message) > 0 {
		number, kind, n := protowire.ConsumeTag(message)
		if n < 0 || number > protowire.MaxValidNumber {
			return errMalformed
		}
		message = message[n:]
		switch {
		case number == responseHead && kind == protowire.BytesType:
			if r.block == nil {
				r.block = newBlock()
			}
			frame.Head = &r.block.response
			n = readPart(message, r.block.readResponseHead)
		case number == frameData && kind == protowire.BytesType:
			frame.Data, n = protowire.ConsumeBytes(message)
		case number == frameEnd && kind == protowire.VarintType:
			frame.End, n = readBool(message)
		case number == frameTrailers && kind == protowire.BytesType:
			n = readPart(message, func(part text) bool { return appendField(part, &frame.Trailers) })
		case number == responseInformational && kind == protowire.BytesType:
			n = readPart(message, func(part text) bool {
				head, ok := readInformational(part)
				frame.Informational = append(frame.Informational, head)
				return ok
			})
		case number == responseAccepted && kind == protowire.VarintType:
			frame.Accepted, n = readBool(message)
		default:
			n = protowire.ConsumeFieldValue(number, kind, message)
		}
		if n < 0 {
			return errMalformed
		}
		message = message[n:]
	}
	return nil
}

// readPart reads a message inside of a message, and returns its length or a
// negative number.
func readPart(message []byte, read func(text) bool) int {
	part, n := protowire.ConsumeBytes(message)
	if n < 0 || !read(text{string(part)}) {
		return -1
	}
	return n
}

func readBool(message []byte) (value bool, n int) {
	number, n := protowire.ConsumeVarint(message)
	return number != 0, n
}

func (b *block) readRequestHead(t text) bool {
	head := &b.request
	for len(t.rest) > 0 {
		number, kind, ok := t.tag()
		if !ok {
			return false
		}
		switch kind {
		case protowire.BytesType:
			ok = b.readRequestText(&t, number)
		case protowire.VarintType:
			ok = readRequestNumber(&t, number, head)
		default:
			ok = t.skip(number, kind)
		}
		if !ok {
			return false
		}
	}
	return true
}

func (b *block) readRequestText(t *text, number protowire.Number) (ok bool) {
	head := &b.request
	switch int(number) {
	case requestMethod:
		return t.string(&head.Method)
	case requestScheme:
		return t.string(&head.Scheme)
	case requestAuthority:
		return t.string(&head.Authority)
	case requestPath:
		return t.string(&head.Path)
	case requestRawPath:
		var raw string
		raw, ok = t.bytes()
		head.RawPath = []byte(raw)
		return ok
	case requestHeaders:
		return b.readField(t, &head.Headers)
	case requestUpgrade:
		return t.string(&head.Upgrade)
	case requestClientAddress:
		return t.string(&head.ClientAddress)
	default:
		_, ok = t.bytes()
		return ok
	}
}

func readRequestNumber(t *text, number protowire.Number, head *culvertv1.RequestHead) bool {
	value, ok := t.varint()
	switch int(number) {
	case requestHTTPVersion:
		head.HttpVersion = culvertv1.HTTPVersion(int32(value)) //nolint:gosec // protobuf cuts enums like that
	case requestNotifyAccepted:
		head.NotifyAccepted = value != 0
	case requestTimeout:
		head.TimeoutMs = value
	}
	return ok
}

func (b *block) readResponseHead(t text) bool {
	head := &b.response
	for len(t.rest) > 0 {
		number, kind, ok := t.tag()
		if !ok {
			return false
		}
		switch {
		case number == responseStatus && kind == protowire.VarintType:
			var status uint64
			status, ok = t.varint()
			head.Status = uint32(status) //nolint:gosec // protobuf cuts numbers like that
		case number == responseHeaders && kind == protowire.BytesType:
			ok = b.readField(&t, &head.Headers)
		case number == responseUpgrade && kind == protowire.BytesType:
			ok = t.string(&head.Upgrade)
		default:
			ok = t.skip(number, kind)
		}
		if !ok {
			return false
		}
	}
	return true
}

func readInformational(t text) (*culvertv1.InformationalHead, bool) {
	head := new(culvertv1.InformationalHead)
	for len(t.rest) > 0 {
		number, kind, ok := t.tag()
		if !ok {
			return nil, false
		}
		switch {
		case number == responseStatus && kind == protowire.VarintType:
			var status uint64
			status, ok = t.varint()
			head.Status = uint32(status) //nolint:gosec // protobuf cuts numbers like that
		case number == responseHeaders && kind == protowire.BytesType:
			var part string
			if part, ok = t.bytes(); ok {
				ok = appendField(text{part}, &head.Headers)
			}
		default:
			ok = t.skip(number, kind)
		}
		if !ok {
			return nil, false
		}
	}
	return head, true
}
