package culvert

import (
	"bytes"
	"errors"
	"io"
	"sync"

	culvertv1 "github.com/culvert-http/culvert/api/culvert/v1"
	"github.com/culvert-http/culvert/internal/bridge"
	"github.com/culvert-http/culvert/internal/wire"
)

// maxPending is how much of a request waits to be sent, in bytes, unless one
// message alone is more.
const maxPending = bridge.MaxData

// frameBody is the body of an Exchange's request: messages as they are added.
type frameBody struct {
	mu      sync.Mutex
	wake    sync.Cond
	pending []byte  // added, and not yet read
	pooled  *[]byte // that pending is, unless it has outgrown it
	read    int     // of pending
	ended   bool    // nothing more is added
	closed  bool    // nothing more is read
	whole   []byte  // all of it, if that was there before any of it was read
}

func newFrameBody() *frameBody {
	b := new(frameBody)
	b.wake.L = &b.mu
	return b
}

// add adds a message. It waits while too much is pending. It returns io.EOF if
// nobody reads any more.
func (b *frameBody) add(frame *culvertv1.RequestFrame) error {
	const rest = 512 // has room for most heads
	size := rest + len(frame.GetData())
	b.mu.Lock()
	defer b.mu.Unlock()
	for b.waiting() > 0 && b.waiting()+size > maxPending && !b.closed {
		b.wake.Wait()
	}
	if b.closed {
		return io.EOF
	}
	b.makeRoom(size)
	start := len(b.pending)
	b.pending = append(b.pending, make([]byte, envelopePrefix)...)
	b.pending = wire.AppendRequest(b.pending, frame)
	sealEnvelope(b.pending[start:], 0)
	b.wake.Broadcast()
	return nil
}

// waiting is how much is pending.
func (b *frameBody) waiting() int { return len(b.pending) - b.read }

// makeRoom sees to it that a message can be added. What is small has memory of its
// own, for mostly it is all of a request, and again keeps it.
func (b *frameBody) makeRoom(size int) {
	size += b.waiting()
	if cap(b.pending) >= b.read+size {
		return
	}
	var pooled *[]byte
	var room []byte
	if size <= smallEnvelopes {
		room = make([]byte, 0, size)
	} else {
		pooled = newEnvelopeBuffer(envelopeRoom(size, size*envelopeGrowth))
		room = (*pooled)[:0]
	}
	room = append(room, b.pending[b.read:]...)
	putEnvelopeBuffer(b.pooled)
	b.pending, b.pooled, b.read = room, pooled, 0
}

// end says that nothing more is added.
func (b *frameBody) end() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ended = true
	b.wake.Broadcast()
}

// errRequestEnded is the error of a request that is given up.
var errRequestEnded = errors.New("request has ended")

// Read implements io.Reader.
func (b *frameBody) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for b.read == len(b.pending) && !b.ended && !b.closed {
		b.wake.Wait()
	}
	if b.closed {
		return 0, errRequestEnded
	}
	n := copy(p, b.pending[b.read:])
	b.read += n
	if b.read < len(b.pending) {
		return n, nil
	}
	b.recycle()
	b.wake.Broadcast()
	if b.ended {
		return n, io.EOF
	}
	return n, nil
}

// recycle lets the memory of what was read be used again.
func (b *frameBody) recycle() {
	b.read = 0
	if b.whole != nil || b.pooled != nil { // it may be long until there is more
		b.drop()
	} else {
		b.pending = b.pending[:0]
	}
}

// drop forgets what is pending.
func (b *frameBody) drop() {
	putEnvelopeBuffer(b.pooled)
	b.pending, b.pooled, b.read = nil, nil, 0
}

// again returns the request's GetBody, if all of the body is there already: what
// the server has not processed net/http can then send again by itself.
func (b *frameBody) again() func() (io.ReadCloser, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.ended || b.read > 0 || b.closed {
		return nil
	}
	b.whole, b.pooled = b.pending, nil
	return func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b.whole)), nil }
}

// awaitRead waits until all that was added is read.
func (b *frameBody) awaitRead() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for len(b.pending) > b.read && !b.closed {
		b.wake.Wait()
	}
}

// Close implements io.Closer. It ends both sides.
func (b *frameBody) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	b.drop()
	b.wake.Broadcast()
	return nil
}
