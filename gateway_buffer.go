package culvert

import "sync"

// gatewayBufferBytes is how much of a body is copied at once. net/http's servers
// pass more than 4 KiB on without copying it again.
const gatewayBufferBytes = 64 << 10

// gatewayBuffers are the buffers that bodies are copied through.
var gatewayBuffers = bufferPool{pool: sync.Pool{New: func() any {
	buffer := make([]byte, gatewayBufferBytes)
	return &buffer
}}}

type bufferPool struct{ pool sync.Pool }

func (p *bufferPool) get() *[]byte       { return p.pool.Get().(*[]byte) }
func (p *bufferPool) put(buffer *[]byte) { p.pool.Put(buffer) }
