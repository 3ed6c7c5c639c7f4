package culvert

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"

	"github.com/culvert-http/culvert/internal/bridge"
)

// Memory of an envelopeReader, in bytes.
const (
	smallEnvelopes  = 4 << 10  // at first
	mediumEnvelopes = 36 << 10 // for what a copying handler writes at a time
	largeEnvelopes  = 64 << 10 // from which on it is given back when only small messages come
)

// envelopeGrowth is how many times what has arrived of a message a buffer has room
// for.
const envelopeGrowth = 8

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
	pooled     *[]byte // that buf is
	start, end int     // of what was read and not given out
	small      int     // how many messages were, since one was not
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
		r.makeRoom(n)
		room := r.buf[r.end:]
		if n > mediumEnvelopes { // what is read beyond the next prefix would be moved
			room = room[:min(len(room), r.start+n+envelopePrefix-r.end)]
		}
		var got int
		got, r.err = r.from.Read(room)
		r.end += got
	}
	return nil
}

// makeRoom makes the buffer large enough for n bytes from start, or for as many as
// there may be yet.
func (r *envelopeReader) makeRoom(n int) {
	left := r.end - r.start
	switch size := len(r.buf); {
	case n > size && left == size || size == 0:
		r.grow(envelopeRoom(n, envelopeGrowth*left+smallEnvelopes))
	case left == 0 && size > largeEnvelopes && r.small > manySmall:
		r.grow(smallEnvelopes) // it waits for what comes, maybe for long
	case r.start+min(n, size) <= size && left > 0:
	default:
		copy(r.buf, r.buf[r.start:r.end])
		r.start, r.end = 0, left
	}
}

// envelopeRoom returns the size of a buffer for n bytes, of which it may have room
// for so many now.
func envelopeRoom(n, most int) int {
	room := smallEnvelopes
	for _, size := range envelopeSizes {
		if size > most {
			break
		}
		if room = size; room >= n {
			return room
		}
	}
	return max(room, min(n, most))
}

// grow changes the buffer for one of n bytes.
func (r *envelopeReader) grow(n int) {
	before, pooled := r.buf[r.start:r.end], r.pooled
	r.pooled = newEnvelopeBuffer(n)
	r.buf, r.start = *r.pooled, 0
	r.end = copy(r.buf, before)
	putEnvelopeBuffer(pooled)
}

// release gives the memory back. Nothing may be read afterwards.
func (r *envelopeReader) release() {
	putEnvelopeBuffer(r.pooled)
	*r = envelopeReader{err: io.ErrClosedPipe}
}

// envelopeSizes are those of buffers that are used again. The last one but one
// holds a message with the most data that a frame has.
var (
	envelopeSizes = [...]int{smallEnvelopes, mediumEnvelopes, bridge.MaxData + 8<<10, 1 << 20}
	envelopePools [len(envelopeSizes)]sync.Pool
)

func newEnvelopeBuffer(n int) *[]byte {
	if i := slices.Index(envelopeSizes[:], n); i >= 0 {
		if pooled, ok := envelopePools[i].Get().(*[]byte); ok {
			return pooled
		}
	}
	buf := make([]byte, n)
	return &buf
}

func putEnvelopeBuffer(buf *[]byte) {
	if buf == nil {
		return
	}
	if i := slices.Index(envelopeSizes[:], len(*buf)); i >= 0 {
		envelopePools[i].Put(buf)
	}
}
