package culvert

import (
	"bytes"
	"errors"
	"io"
	"sync"

	culvertv1 "github.com/culvert-http/culvert/api/culvert/v1"
	"github.com/culvert-http/culvert/internal/wire"
)

// maxPending is how much of a request waits to be sent, in bytes: a message more
// than that may.
const maxPending = 256 << 10

// frameBody is the body of an Exchange's request: messages as they are added.
type frameBody struct {
	mu      sync.Mutex
	wake    sync.Cond
	pending []byte // added, and not yet read
	read    int    // of pending
	ended   bool   // nothing more is added
	closed  bool   // nothing more is read
	whole   []byte // all of it, if that was there before any of it was read
}

func newFrameBody() *frameBody {
	b := new(frameBody)
	b.wake.L = &b.mu
	return b
}

// add adds a message. It waits while too much is pending. It returns io.EOF if
// nobody reads any more.
func (b *frameBody) add(frame *culvertv1.RequestFrame) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	for len(b.pending)-b.read >= maxPending && !b.closed {
		b.wake.Wait()
	}
	if b.closed {
		return io.EOF
	}
	if b.pending == nil {
		b.pending = newPending(len(frame.GetData()))
	}
	start := len(b.pending)
	b.pending = append(b.pending, make([]byte, envelopePrefix)...)
	b.pending = wire.AppendRequest(b.pending, frame)
	sealEnvelope(b.pending[start:], 0)
	b.wake.Broadcast()
	return nil
}

// pendingBodies is memory for what is pending of large bodies.
var pendingBodies sync.Pool

// newPending returns memory for a message with so many bytes of data.
func newPending(data int) []byte {
	if data > smallEnvelopes {
		if pooled, ok := pendingBodies.Get().(*[]byte); ok {
			return *pooled
		}
	}
	return make([]byte, 0, 512+data)
}

func putPending(b []byte) {
	b = b[:0]
	pendingBodies.Put(&b)
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
	switch {
	case b.whole != nil:
		b.pending = nil
	case cap(b.pending) > smallEnvelopes:
		putPending(b.pending) // it may be long until there is more
		b.pending = nil
	default:
		b.pending = b.pending[:0]
	}
	b.read = 0
}

// again returns the request's GetBody, if all of the body is there already: what
// the server has not processed net/http can then send again by itself.
func (b *frameBody) again() func() (io.ReadCloser, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.ended || b.read > 0 || b.closed {
		return nil
	}
	b.whole = b.pending
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
	b.pending, b.read = nil, 0
	b.wake.Broadcast()
	return nil
}
