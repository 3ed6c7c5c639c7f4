package culvert

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"
)

// Memory of an envelopeReader, in bytes.
const (
	smallEnvelopes = 4 << 10  // at first
	largeEnvelopes = 64 << 10 // from which on it is given back when only small messages come
)

// manySmall is how many small messages have to come one after the other before
// that is done.
const manySmall = 64

var errMessageTooLong = errors.New("message too long")

// envelopeReader reads the messages of a stream: flags, length and payload, in
// all protocols alike. Several that have come together take one read.
type envelopeReader struct {
	from io.Reader
	most int // bytes a message

	buf        []byte
	start, end int // of what was read and not given out
	small      int // how many messages were, since one was not
	err        error
}

// next returns the next message, which is valid until the next call. At the end
// of the stream it returns io.EOF, inside a message io.ErrUnexpectedEOF.
func (r *envelopeReader) next() (flags byte, payload []byte, err error) {
	if err := r.have(envelopePrefix); err != nil {
		return 0, nil, err
	}
	prefix := r.buf[r.start:]
	size := int64(binary.BigEndian.Uint32(prefix[1:envelopePrefix]))
	if size > int64(r.most) {
		return 0, nil, fmt.Errorf("%w: %d bytes are over the limit of %d", errMessageTooLong, size, r.most)
	}
	flags = prefix[0]
	if err := r.have(envelopePrefix + int(size)); err != nil {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return 0, nil, err
	}
	if r.small++; size > largeEnvelopes/4 {
		r.small = 0
	}
	payload = r.buf[r.start+envelopePrefix : r.start+envelopePrefix+int(size)]
	r.start += envelopePrefix + int(size)
	return flags, payload, nil
}

// have reads until there are n bytes. Those that are announced and do not come
// cost no memory.
func (r *envelopeReader) have(n int) error {
	for r.end-r.start < n {
		if r.err != nil {
			if r.err == io.EOF && r.end > r.start {
				return io.ErrUnexpectedEOF
			}
			return r.err
		}
		r.makeRoom(min(n, max(2*(r.end-r.start), smallEnvelopes)))
		var got int
		got, r.err = r.from.Read(r.buf[r.end:])
		r.end += got
	}
	return nil
}

// makeRoom makes the buffer large enough for n bytes from start.
func (r *envelopeReader) makeRoom(n int) {
	left := r.end - r.start
	size := len(r.buf)
	switch {
	case n > size:
		size = max(n, min(2*size, envelopePrefix+r.most), smallEnvelopes)
	case left == 0 && size > largeEnvelopes && r.small > manySmall:
		size = smallEnvelopes // it waits for what comes, maybe for long
	case r.start+n <= size && left > 0:
		return
	default:
		copy(r.buf, r.buf[r.start:r.end])
		r.start, r.end = 0, left
		return
	}
	buf := make([]byte, size)
	copy(buf, r.buf[r.start:r.end])
	r.buf, r.start, r.end = buf, 0, left
}

// envelopeBuffers are buffers that envelope readers can begin with.
var envelopeBuffers = sync.Pool{New: func() any { return new([smallEnvelopes]byte) }}
