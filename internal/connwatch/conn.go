// Package connwatch looks at what comes and goes on the connections of a server below
// net/http, which shows handlers requests and nothing else.
//
// It tells requests of HTTP/1.x whose end others may see elsewhere than net/http
// does, so that what follows on the connection could be a part of them: those that
// have both Content-Length and Transfer-Encoding. net/http drops one of the two
// before any handler sees that; [InDoubt] knows. It ends connections of HTTP/2 on
// which there are floods, and reads those slowly whose requests come to nothing. And
// it reads and writes frames of HTTP/2 together where net/http does one by one.
package connwatch

import (
	"context"
	"net"
	"sync/atomic"
	"time"

	"github.com/culvert-http/culvert/internal/resets"
)

type connKey struct{}

// ConnContext is for [http.Server.ConnContext]: it leaves a connection of a
// [Listener] where [InDoubt], [Hold] and [Resets] find it. Others it ignores: those that net/http has
// secured itself among them, for it must have them as *tls.Conn.
func ConnContext(ctx context.Context, c net.Conn) context.Context {
	if watched, ok := c.(*conn); ok {
		return context.WithValue(ctx, connKey{}, watched)
	}
	return ctx
}

// Resets returns a count of requests of the peer of a connection, other than those
// of HTTP/2: nil, which has no bound, where it is not of a [Listener] that has one.
func Resets(ctx context.Context) *resets.Count {
	if watched, ok := ctx.Value(connKey{}).(*conn); ok {
		return watched.resets.Beside()
	}
	return nil
}

// Listener watches its connections. It has to be around what does TLS, if there is
// that, and not below it.
type Listener struct {
	net.Listener
	// Resets bounds the requests of HTTP/2 that come to nothing; nil means no bound.
	Resets *resets.Bound
}

// Accept implements [net.Listener]. Connections that cannot be half-closed are
// returned as they are.
func (l Listener) Accept() (net.Conn, error) {
	accepted, err := l.Listener.Accept()
	if half, ok := accepted.(halfConn); ok && err == nil {
		return newConn(half, l.Resets), nil
	}
	return accepted, err
}

// halfConn is what net/http makes use of in a connection.
type halfConn interface {
	net.Conn
	CloseWrite() error
}

// conn is a connection that is watched. Its Read must not be called
// concurrently, which net/http sees to.
type conn struct {
	halfConn

	heads headScan
	// doubtful is set once there was a head with both, and before its Read returns.
	// It stays set: the connection is about to be closed, or it was part of a body.
	doubtful atomic.Bool
	// frames are those of HTTP/2, nil until there is its preface.
	frames *frames
	ahead  readAhead // of HTTP/2
	hold   Holder    // of HTTP/2

	resets *resets.Count
	closed context.Context // done when the connection is closed
	close  context.CancelFunc
}

func newConn(half halfConn, bound *resets.Bound) *conn {
	c := &conn{halfConn: half, resets: bound.Of(half.RemoteAddr())}
	c.hold.to = half
	c.closed, c.close = context.WithCancel(context.Background())
	return c
}

// Read implements [io.Reader].
func (c *conn) Read(p []byte) (int, error) {
	if c.frames != nil {
		n, err := c.ahead.read(p, c.fill)
		return c.checked(n, err, p[:n])
	}
	n, err := c.halfConn.Read(p)
	before := c.heads.prefaced
	if c.heads.scan(p[:n]) {
		c.doubtful.Store(true)
	}
	if !c.heads.off {
		return n, err
	}
	c.frames = newFrames(c.resets)
	return c.checked(n, err, p[len(preface)-before:n])
}

// fill reads some of HTTP/2 from the connection.
func (c *conn) fill(p []byte) (int, error) {
	c.wait(c.resets.Paused())
	n, err := c.halfConn.Read(p)
	c.resets.Look()
	return n, err
}

// checked returns n and err, unless there is too much in what has come of HTTP/2:
// then it closes the connection. Where it would be too much, it waits.
func (c *conn) checked(n int, err error, frames []byte) (int, error) {
	pause, excess := c.frames.received(frames)
	if excess != nil {
		_ = c.Close()
		return 0, excess
	}
	c.wait(pause)
	return n, err
}

// wait waits for so long, or until the connection is closed.
func (c *conn) wait(pause time.Duration) {
	if pause <= 0 {
		return
	}
	wait, cancel := context.WithTimeout(c.closed, pause)
	defer cancel()
	<-wait.Done()
}

// Close implements [net.Conn].
func (c *conn) Close() error {
	c.close()
	c.hold.stop()
	return c.halfConn.Close()
}

// Write implements [io.Writer].
func (c *conn) Write(p []byte) (int, error) {
	if c.frames == nil {
		return c.halfConn.Write(p)
	}
	return c.hold.write(p, c.frames.sent(p))
}

// NetConn returns the connection itself, as [tls.Conn.NetConn] does.
func (c *conn) NetConn() net.Conn { return c.halfConn }
