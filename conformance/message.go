package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"
)

// maxMessageBytes bounds a message of the runner, which carries bodies of 200 KiB
// at most.
const maxMessageBytes = 16 << 20

// Fields of the messages ServerCompatRequest, ServerCompatResponse,
// ClientCompatRequest and TLSCreds of connectrpc.conformance.v1. Their Go code is
// internal to the runner's module, and these few are all that is looked at.
const (
	serverRequestHTTPVersion   protowire.Number = 2
	serverRequestUseTLS        protowire.Number = 4
	serverRequestClientTLSCert protowire.Number = 5
	serverRequestServerCreds   protowire.Number = 7

	serverResponseHost    protowire.Number = 1
	serverResponsePort    protowire.Number = 2
	serverResponsePEMCert protowire.Number = 3

	clientRequestHTTPVersion   protowire.Number = 2
	clientRequestHost          protowire.Number = 6
	clientRequestPort          protowire.Number = 7
	clientRequestServerTLSCert protowire.Number = 8

	credsCert protowire.Number = 1
	credsKey  protowire.Number = 2
)

// httpVersion2 is connectrpc.conformance.v1.HTTP_VERSION_2.
const httpVersion2 = 2

// message is an encoded protobuf message, of which most passes through unseen.
type message []byte

// readMessage reads a message with its length before it. It returns io.EOF where
// there is none.
func readMessage(r io.Reader) (message, error) {
	var length [4]byte
	if _, err := io.ReadFull(r, length[:]); err != nil {
		return nil, err
	}
	size := binary.BigEndian.Uint32(length[:])
	if size > maxMessageBytes {
		return nil, fmt.Errorf("message of %d bytes is over %d", size, maxMessageBytes)
	}
	m := make(message, size)
	if _, err := io.ReadFull(r, m); err != nil {
		return nil, fmt.Errorf("message of %d bytes: %w", size, noEOF(err))
	}
	return m, nil
}

func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// writeMessage writes a message with its length before it, in one piece.
func writeMessage(w io.Writer, m message) error {
	framed := binary.BigEndian.AppendUint32(make([]byte, 0, 4+len(m)), uint32(len(m)))
	_, err := w.Write(append(framed, m...))
	return err
}

// fields calls yield with each field, its number, its value without the tag, and
// the whole of it, until yield returns false.
func (m message) fields(yield func(protowire.Number, protowire.Type, []byte, []byte) bool) error {
	for rest := []byte(m); len(rest) > 0; {
		number, kind, tag := protowire.ConsumeTag(rest)
		if tag < 0 {
			return protowire.ParseError(tag)
		}
		value := protowire.ConsumeFieldValue(number, kind, rest[tag:])
		if value < 0 {
			return protowire.ParseError(value)
		}
		if !yield(number, kind, rest[tag:tag+value], rest[:tag+value]) {
			return nil
		}
		rest = rest[tag+value:]
	}
	return nil
}

// varint returns a numeric field, or 0 where it is not set.
func (m message) varint(field protowire.Number) (uint64, error) {
	var found uint64
	err := m.fields(func(number protowire.Number, kind protowire.Type, value, _ []byte) bool {
		if number == field && kind == protowire.VarintType {
			found, _ = protowire.ConsumeVarint(value)
		}
		return true
	})
	return found, err
}

// bytes returns a string, bytes or message field, or nil where it is not set.
func (m message) bytes(field protowire.Number) (message, error) {
	var found message
	err := m.fields(func(number protowire.Number, kind protowire.Type, value, _ []byte) bool {
		if number == field && kind == protowire.BytesType {
			found, _ = protowire.ConsumeBytes(value)
		}
		return true
	})
	return found, err
}

// without returns a copy that lacks some fields.
func (m message) without(unwanted ...protowire.Number) (message, error) {
	kept := make(message, 0, len(m))
	err := m.fields(func(number protowire.Number, _ protowire.Type, _, whole []byte) bool {
		if !slices.Contains(unwanted, number) {
			kept = append(kept, whole...)
		}
		return true
	})
	return kept, err
}

func (m message) appendVarint(field protowire.Number, value uint64) message {
	return protowire.AppendVarint(protowire.AppendTag(m, field, protowire.VarintType), value)
}

func (m message) appendBytes(field protowire.Number, value []byte) message {
	return protowire.AppendBytes(protowire.AppendTag(m, field, protowire.BytesType), value)
}
