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

func (b *clientBuffer) put() {
	if b.bytes != nil {
		clientBufferPools[b.class].Put(b.bytes)
		b.bytes = nil
	}
}
