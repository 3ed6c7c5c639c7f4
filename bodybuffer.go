package culvert

import "sync"

// bodyBuffer is memory for a part of a body, of a few sizes that are used again
// and again. The zero value holds none.
type bodyBuffer struct {
	small  *[4 << 10]byte
	medium *[32 << 10]byte
	large  *[256 << 10]byte
}

var (
	smallBodies  = sync.Pool{New: func() any { return new([4 << 10]byte) }}
	mediumBodies = sync.Pool{New: func() any { return new([32 << 10]byte) }}
	largeBodies  = sync.Pool{New: func() any { return new([256 << 10]byte) }}
)

// keep returns a copy of data that is valid until release.
func (b *bodyBuffer) keep(data []byte) []byte {
	switch n := len(data); {
	case n == 0:
		return nil
	case n <= 512: // not worth a place
		return append([]byte(nil), data...)
	case n <= 4<<10:
		b.small = smallBodies.Get().(*[4 << 10]byte)
		return append(b.small[:0], data...)
	case n <= 32<<10:
		b.medium = mediumBodies.Get().(*[32 << 10]byte)
		return append(b.medium[:0], data...)
	case n <= 256<<10:
		b.large = largeBodies.Get().(*[256 << 10]byte)
		return append(b.large[:0], data...)
	default:
		return append([]byte(nil), data...)
	}
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
