package bridge

import "sync"

// clientBuffer is what a request's body is read into. It starts small, since many
// bodies never move much and wait for a long time, and grows as long as reads
// fill it.
type clientBuffer struct {
	class int
	bytes *[]byte
}

var clientBufferSizes = [...]int{4 << 10, 32 << 10, MaxData}

var clientBufferPools [len(clientBufferSizes)]sync.Pool

func (b *clientBuffer) get() []byte {
	if b.bytes == nil {
		pooled, ok := clientBufferPools[b.class].Get().(*[]byte)
		if !ok {
			fresh := make([]byte, clientBufferSizes[b.class])
			pooled = &fresh
		}
		b.bytes = pooled
	}
	return *b.bytes
}

// adapt takes a larger buffer for the next read, if the last one was full.
func (b *clientBuffer) adapt(n int) {
	if n == clientBufferSizes[b.class] && b.class < len(clientBufferSizes)-1 {
		b.put()
		b.class++
	}
}

// appendTo appends data to what the buffer has in it, and takes a larger one if it
// has to. Both together must be at most MaxData.
func (b *clientBuffer) appendTo(kept, data []byte) []byte {
	n := len(kept) + len(data)
	if b.bytes != nil && n <= clientBufferSizes[b.class] {
		return append(kept, data...)
	}
	larger := clientBuffer{class: b.class}
	for n > clientBufferSizes[larger.class] {
		larger.class++
	}
	grown := append(append(larger.get()[:0], kept...), data...)
	b.put()
	*b = larger
	return grown
}

func (b *clientBuffer) put() {
	if b.bytes != nil {
		clientBufferPools[b.class].Put(b.bytes)
		b.bytes = nil
	}
}
