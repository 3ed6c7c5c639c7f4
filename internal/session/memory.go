package session

import "sync"

// smallPart is the memory of a part that is small, as most heads are: it comes
// with the exchange.
type smallPart struct {
	used  bool
	bytes [192]byte
}

// Sizes of the memory of parts that are not small, in bytes. The largest holds
// what one turn sends of a body.
const (
	mediumPart = 4 << 10
	largePart  = 64<<10 + 1<<10
)

var (
	mediumParts = sync.Pool{New: func() any { return new([mediumPart]byte) }}
	largeParts  = sync.Pool{New: func() any { return new([largePart]byte) }}
)

// mostPooled is how much a session keeps, in bytes, in memory that is used again,
// which can be four times as much as is needed. Readers that keep up leave no more.
const mostPooled = 2 << 20

// keep returns a copy of a part that has arrived.
func (x *Exchange) keep(part []byte) []byte {
	var room []byte
	switch size := len(part); {
	case size <= len(x.small.bytes) && !x.small.used:
		x.small.used = true
		room = x.small.bytes[:0:len(x.small.bytes)]
	case x.session.held >= mostPooled:
	case size > mediumPart/4 && size <= mediumPart:
		room = mediumParts.Get().(*[mediumPart]byte)[:0]
	case size > mediumPart && size <= largePart && size >= largePart/4:
		room = largeParts.Get().(*[largePart]byte)[:0]
	}
	return append(room, part...)
}

// forget gives the memory of a part back.
func (x *Exchange) forget(part []byte) {
	switch cap(part) {
	case 0:
	case len(x.small.bytes):
		if &part[:1][0] == &x.small.bytes[0] {
			x.small.used = false
		}
	case mediumPart:
		mediumParts.Put((*[mediumPart]byte)(part[:mediumPart]))
	case largePart:
		largeParts.Put((*[largePart]byte)(part[:largePart]))
	}
}
