package bridge

import "sync"

// Sizes of the buffers that collect small writes, in bytes. A handler that fills
// a small one without a Flush gets a large one.
const (
	smallBuffer = 4 << 10
	largeBuffer = 32 << 10
)

var (
	smallBuffers = sync.Pool{New: func() any { return new([smallBuffer]byte) }}
	largeBuffers = sync.Pool{New: func() any { return new([largeBuffer]byte) }}
)

// coalescer collects small writes until Flush, the end, or a bound. Large writes
// pass it without a copy. The zero value is empty and holds no memory.
type coalescer struct {
	data  []byte
	small *[smallBuffer]byte
	large *[largeBuffer]byte

	direct int // bytes that were sent since the last flush, and not in bulk
	bulk   *bulkWriter
}

// room prepares for n more bytes, and says whether they fit without anything
// being sent.
func (c *coalescer) room(w *response, n int) bool {
	bound := smallBuffer
	switch {
	case !w.head.taken:
		bound = w.rules.held
	case c.large != nil:
		bound = largeBuffer
	}
	if len(c.data)+n > bound {
		return false
	}
	if c.data == nil {
		c.small = smallBuffers.Get().(*[smallBuffer]byte)
		c.data = c.small[:0]
	}
	return true
}

// takes keeps s, if there is room for it.
func (c *coalescer) takes(w *response, s string) bool {
	if c.bulk != nil || !c.room(w, len(s)) {
		return false
	}
	c.data = append(c.data, s...)
	return true
}

// write keeps p, or sends what it has and p, in frames of at most MaxData.
func (c *coalescer) write(w *response, p []byte) error {
	if c.bulk != nil {
		rest, err := c.bulk.write(p)
		if err != nil || len(rest) == 0 {
			return err
		}
		c.bulk, c.direct, p = nil, 0, rest
	}
	if c.room(w, len(p)) {
		c.data = append(c.data, p...)
		return nil
	}
	if c.direct >= largeBuffer {
		if bulk := newBulkWriter(w); bulk != nil {
			return c.begin(bulk, p)
		}
		c.direct = 0
	}
	if len(c.data) > 0 {
		fill := min(len(p), cap(c.data)-len(c.data))
		c.data = append(c.data, p[:fill]...)
		p = p[fill:]
		c.direct += len(c.data)
		if err := w.emit(c.data); err != nil {
			return err
		}
		c.grow()
	}
	for len(p) > 0 {
		if c.room(w, len(p)) {
			c.data = append(c.data, p...)
			return nil
		}
		part := p[:min(len(p), MaxData)]
		c.direct += len(part)
		if err := w.emit(part); err != nil {
			return err
		}
		p = p[len(part):]
	}
	return nil
}

// begin begins to write in bulk, with what there is and p.
func (c *coalescer) begin(bulk *bulkWriter, p []byte) error {
	_, err := bulk.write(c.data) // it has room for that
	c.release()
	c.bulk = bulk
	if err != nil {
		return err
	}
	return c.write(bulk.response, p)
}

// grow changes the buffer, which is sent, for an empty large one.
func (c *coalescer) grow() {
	if c.large == nil {
		c.release()
		c.large = largeBuffers.Get().(*[largeBuffer]byte)
	}
	c.data = c.large[:0]
}

func (c *coalescer) bytes() []byte { return c.data }

// flush sends what there is, and gives the memory back: many streams wait long
// between two events.
func (c *coalescer) flush(w *response) error {
	if c.bulk != nil {
		err := c.bulk.flush()
		c.release()
		return err
	}
	err := w.emit(c.data)
	c.release()
	return err
}

func (c *coalescer) release() {
	if c.bulk != nil {
		c.bulk.release()
	}
	if c.small != nil {
		smallBuffers.Put(c.small)
	}
	if c.large != nil {
		largeBuffers.Put(c.large)
	}
	*c = coalescer{}
}
