package upstream

import "sync"

// bufferSize is what a body is copied in: enough for bulk, and a quarter of what
// one message of the tunnel carries at most.
const bufferSize = 64 << 10

var buffers = sync.Pool{New: func() any {
	buffer := make([]byte, bufferSize)
	return &buffer
}}

func getBuffer() *[]byte       { return buffers.Get().(*[]byte) }
func putBuffer(buffer *[]byte) { buffers.Put(buffer) }
