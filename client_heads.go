package culvert

import (
	"context"
	"encoding/binary"
	"net"
	"sync"
	"time"

	"golang.org/x/net/http2"

	"github.com/culvert-http/culvert/internal/timeout"
)

// headsConn is a connection of HTTP/2 that sends the head of a request with what
// follows it. net/http's client flushes each by itself, and of a small exchange
// either is a system call here and a wake-up there. It need not know where frames
// begin: nothing that it holds back is lost, or passed by what comes later.
type headsConn struct {
	net.Conn
	lates *timeout.Queue[headsConn]

	mu   sync.Mutex // held while writing; guards what follows
	held []byte
	late timeout.Timeout[headsConn]
	err  error // sticky
}

// headsTime is how long a head waits at most. The first message of an RPC is there
// when its head is: what makes it wait is flow control.
const headsTime = 10 * time.Millisecond

// maxHeads is how much of what follows is copied to heads, in bytes. More is worth
// a write of its own.
const maxHeads = 16 << 10

// gatherHeads has the connections that dial opens send heads with what follows.
func gatherHeads(dial DialFunc) DialFunc {
	lates := new(timeout.Queue[headsConn])
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return &headsConn{Conn: conn, lates: lates}, nil
	}
}

// Write implements net.Conn.
func (c *headsConn) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.err != nil:
		return 0, c.err
	case isHead(p) && len(c.held)+len(p) <= maxHeads:
		if len(c.held) == 0 {
			c.lates.Start(&c.late, headsTime, c, func(c *headsConn) { go c.flush() })
		}
		c.held = append(c.held, p...)
		return len(p), nil
	case len(c.held) == 0:
		return c.Conn.Write(p)
	case len(c.held)+len(p) > maxHeads:
		if c.send(); c.err != nil {
			return 0, c.err
		}
		return c.Conn.Write(p)
	default:
		heads := len(c.held)
		c.held = append(c.held, p...)
		n := c.send() - heads
		if n <= 0 {
			return 0, c.err
		}
		err := c.err
		c.err = nil // net/http may go on behind what was written
		return n, err
	}
}

// send sends what was held back.
func (c *headsConn) send() (n int) {
	c.lates.Stop(&c.late)
	n, c.err = c.Conn.Write(c.held)
	c.held = c.held[:0]
	return n
}

// flush sends what has waited for too long.
func (c *headsConn) flush() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.held) > 0 {
		c.send()
	}
}

// Close implements net.Conn.
func (c *headsConn) Close() error {
	c.lates.Stop(&c.late)
	return c.Conn.Close()
}

// isHead reports whether p is a HEADERS frame that DATA frames follow [RFC 9113 §
// 6.2].
func isHead(p []byte) bool {
	const header = 9 // bytes of a frame's
	if len(p) < header || http2.FrameType(p[3]) != http2.FrameHeaders {
		return false
	}
	flags := http2.Flags(p[4])
	return flags.Has(http2.FlagHeadersEndHeaders) && !flags.Has(http2.FlagHeadersEndStream) &&
		int(binary.BigEndian.Uint32(p)>>8) == len(p)-header
}
