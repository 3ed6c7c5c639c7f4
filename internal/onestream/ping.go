package onestream

import (
	"time"

	"golang.org/x/net/http2"
)

// listen looks whether the server is still there: it is when something has come of
// late, or does after a ping.
func (c *conn) listen() {
	c.mu.Lock()
	silence := time.Since(c.began) - time.Duration(c.heard.Load())
	switch {
	case c.err != nil:
	case silence < c.config.PingInterval:
		c.pinged = false
		c.pinger.Reset(c.config.PingInterval - silence)
	case c.pinged:
		c.mu.Unlock()
		_ = c.fail(errSilent, http2.ErrCodeNo)
		return
	default:
		c.pinged = true
		c.pinger.Reset(c.config.PingTimeout)
		c.mu.Unlock()
		_ = c.answer(appendFrame(nil, http2.FramePing, 0, 0, 0, 0))
		return
	}
	c.mu.Unlock()
}

// hear reads from the connection.
func (c *conn) hear(p []byte) (int, error) {
	n, err := c.conn.Read(p)
	if n > 0 && c.config.PingInterval > 0 {
		c.heard.Store(int64(time.Since(c.began)))
	}
	return n, err
}
