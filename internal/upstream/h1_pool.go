package upstream

import (
	"context"
	"slices"
	"sync"
	"time"
)

// h1Client speaks HTTP/1.1 to one upstream and keeps its connections.
type h1Client struct {
	dialer          *dialer
	maxHead         int
	maxIdle         int
	idleTimeout     time.Duration
	continueTimeout time.Duration

	mu     sync.Mutex
	idle   []*h1Conn // the last one used is last
	reaper *time.Timer
	closed bool
}

func newH1Client(d *dialer, options Options) *h1Client {
	return &h1Client{
		dialer:          d,
		maxHead:         options.MaxResponseHeaderBytes,
		maxIdle:         options.MaxIdleConns,
		idleTimeout:     options.IdleTimeout,
		continueTimeout: options.ExpectContinueTimeout,
	}
}

// get returns the idle connection that was used last, or a new one. Where fresh is
// set it is always new.
func (c *h1Client) get(ctx context.Context, fresh bool) (*h1Conn, error) {
	for !fresh {
		conn := c.takeIdle()
		if conn == nil {
			break
		}
		if time.Since(conn.idleSince) < c.idleTimeout && conn.quiet() {
			return conn, nil
		}
		conn.discard()
	}
	conn, err := c.dialer.dial(ctx)
	if err != nil {
		return nil, err
	}
	return newH1Conn(c, conn), nil
}

func (c *h1Client) takeIdle() *h1Conn {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.idle) == 0 {
		return nil
	}
	last := len(c.idle) - 1
	conn := c.idle[last]
	c.idle[last] = nil
	c.idle = c.idle[:last]
	return conn
}

// put keeps a connection for later, or closes it.
func (c *h1Client) put(conn *h1Conn) {
	c.mu.Lock()
	keep := !c.closed && len(c.idle) < c.maxIdle
	if keep {
		conn.idleSince = time.Now()
		c.idle = append(c.idle, conn)
		if c.reaper == nil {
			c.reaper = time.AfterFunc(c.idleTimeout, c.reap)
		}
	}
	c.mu.Unlock()
	if !keep {
		conn.discard()
	}
}

// reap closes the connections that have been idle for too long. It comes back as
// long as there are any.
func (c *h1Client) reap() {
	c.mu.Lock()
	now := time.Now()
	expired, _ := slices.BinarySearchFunc(c.idle, c.idleTimeout, func(conn *h1Conn, limit time.Duration) int {
		if now.Sub(conn.idleSince) >= limit {
			return -1
		}
		return 1
	})
	closing := slices.Clone(c.idle[:expired])
	c.idle = slices.Delete(c.idle, 0, expired)
	c.reaper = nil
	if len(c.idle) > 0 {
		c.reaper = time.AfterFunc(c.idleTimeout-now.Sub(c.idle[0].idleSince), c.reap)
	}
	c.mu.Unlock()
	for _, conn := range closing {
		conn.discard()
	}
}

func (c *h1Client) close() {
	c.mu.Lock()
	closing := c.idle
	c.idle = nil
	c.closed = true
	if c.reaper != nil {
		c.reaper.Stop()
		c.reaper = nil
	}
	c.mu.Unlock()
	for _, conn := range closing {
		conn.discard()
	}
}
