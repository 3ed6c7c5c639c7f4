package culvert

import (
	"io"
	"time"
)

// readAhead is a Read of the RPC's body that does not wait for somebody to ask for
// it.
type readAhead struct {
	done chan struct{} // closed when the rest is valid
	p    [1]byte
	n    int
	err  error
}

// readOn reads ahead after the last frame, behind which HTTP/1.1 has only the last
// chunk. It is there that net/http begins to look whether the client is still
// there, and ends the RPC's context when it is not. The client need not send that
// before the response, so another goroutine waits for it, until somebody reads, or
// until settle.
func (c *rpc) readOn() {
	if c.request.ProtoMajor >= 2 || c.body.ended || c.body.ahead != nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	// What cannot be interrupted must not begin.
	if c.ended || c.interrupted.Load() || c.control.SetReadDeadline(time.Time{}) != nil {
		return
	}
	c.body.ahead = startReadAhead(c.body.ReadCloser)
}

func startReadAhead(from io.Reader) *readAhead {
	ahead := &readAhead{done: make(chan struct{})}
	go func() {
		defer close(ahead.done)
		ahead.n, ahead.err = from.Read(ahead.p[:])
	}()
	return ahead
}

// take waits for the Read, and gives it to somebody.
func (a *readAhead) take(p []byte) (int, error) {
	<-a.done
	return copy(p, a.p[:a.n]), a.err
}

// settle ends what readOn has begun and nobody has taken. A client that has not
// ended its request by now loses the connection with the answer: see closeAfter.
func (c *rpc) settle() {
	if c.body == nil || c.body.ahead == nil { // an exchange of a session has no body of its own
		return
	}
	select {
	case <-c.body.ahead.done:
	default:
		c.InterruptReceive()
	}
	_, _ = c.body.Read(make([]byte, 1))
}
