package culvert

import "sync"

// bodyBuffer is memory for a part of a body, of a few sizes that are used again
// and again. The zero value holds none.
type bodyBuffer struct {
	small  *[smallBody]byte
	medium *[mediumBody]byte
	large  *[largeBody]byte
}

// Sizes of bodyBuffers, in bytes.
const (
	smallBody  = 4 << 10
	mediumBody = 32 << 10
	largeBody  = 257 << 10 // a frame with the most data
)

var (
	smallBodies  = sync.Pool{New: func() any { return new([smallBody]byte) }}
	mediumBodies = sync.Pool{New: func() any { return new([mediumBody]byte) }}
	largeBodies  = sync.Pool{New: func() any { return new([largeBody]byte) }}
)

// room returns memory for n bytes that is valid until release.
func (b *bodyBuffer) room(n int) []byte {
	switch {
	case n <= smallBody:
		b.small = smallBodies.Get().(*[smallBody]byte)
		return b.small[:n]
	case n <= mediumBody:
		b.medium = mediumBodies.Get().(*[mediumBody]byte)
		return b.medium[:n]
	case n <= largeBody:
		b.large = largeBodies.Get().(*[largeBody]byte)
		return b.large[:n]
	default:
		return make([]byte, n)
	}
}

// keep returns a copy of data that is valid until release.
func (b *bodyBuffer) keep(data []byte) []byte {
	switch n := len(data); {
	case n == 0:
		return nil
	case n <= 512: // not worth a place
		return append([]byte(nil), data...)
	default:
		return append(b.room(n)[:0], data...)
	}
}

// grow returns memory for more than the bytes of part, which are what was read so
// far of size bytes: for all of them, unless they are very many.
func (b *bodyBuffer) grow(part []byte, size int) []byte {
	n := size
	for _, step := range []int{mediumBody, largeBody} {
		if len(part) < step {
			n = min(size, step)
			break
		}
	}
	earlier := *b
	*b = bodyBuffer{}
	grown := b.room(n)
	copy(grown, part)
	earlier.release()
	return grown
}

// release lets the memory be used for something else.
func (b *bodyBuffer) release() {
	switch {
	case b.small != nil:
		smallBodies.Put(b.small)
	case b.medium != nil:
		mediumBodies.Put(b.medium)
	case b.large != nil:
		largeBodies.Put(b.large)
	}
	*b = bodyBuffer{}
}
