package culvert

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"testing"
	"testing/iotest"
)

// A length that is announced costs no memory before the bytes come.
func TestEnvelopeReaderAllocatesWhatArrives(t *testing.T) {
	const announced = 1 << 20
	prefix := binary.BigEndian.AppendUint32([]byte{0}, announced)
	for _, arrived := range []int{0, 10, 5000, 100_000} {
		r := envelopeReader{most: announced, from: bytes.NewReader(append(prefix, make([]byte, arrived)...))}
		if _, _, err := r.next(); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("after %d bytes: %v", arrived, err)
		}
		if most := envelopeGrowth*arrived + 2*smallEnvelopes; len(r.buf) > most {
			t.Errorf("%d bytes of memory for %d that have arrived", len(r.buf), arrived)
		}
	}
}

// Messages of all sizes come out as they were, however they arrive.
func TestEnvelopeReaderReads(t *testing.T) {
	sizes := []int{0, 1, 5, smallEnvelopes - 5, smallEnvelopes, 3, 100_000, 0, 0, 1 << 20, 7, 70_000, 1 << 20}
	for range 2 * manySmall {
		sizes = append(sizes, 9)
	}
	sizes = append(sizes, 1<<20, 1)
	var stream bytes.Buffer
	for i, size := range sizes {
		stream.WriteByte(byte(i))
		stream.Write(binary.BigEndian.AppendUint32(nil, uint32(size)))
		stream.Write(bytes.Repeat([]byte{byte(i)}, size))
	}
	for name, from := range map[string]io.Reader{
		"at once":      bytes.NewReader(stream.Bytes()),
		"in halves":    iotest.HalfReader(bytes.NewReader(stream.Bytes())),
		"with its end": iotest.DataErrReader(bytes.NewReader(stream.Bytes())),
	} {
		r := envelopeReader{most: 1 << 20, from: from}
		for i, size := range sizes {
			flags, payload, err := r.next()
			if err != nil || flags != byte(i) || !bytes.Equal(payload, bytes.Repeat([]byte{byte(i)}, size)) {
				t.Fatalf("%s: message %d: flags %d, %d bytes, %v", name, i, flags, len(payload), err)
			}
		}
		if _, _, err := r.next(); err != io.EOF {
			t.Errorf("%s: at the end: %v", name, err)
		}
	}
}
