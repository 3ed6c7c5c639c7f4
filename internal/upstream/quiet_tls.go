package upstream

import (
	"crypto/tls"
	"errors"
	"net"
	"os"
	"time"

	"github.com/culvert-http/culvert/internal/framing"
)

// recordConn is a connection below TLS that knows whether it was read to the end
// of a record. tls.Conn reads ahead, and does not tell of what it has.
type recordConn struct {
	net.Conn
	records framing.Track
}

// Read implements io.Reader.
func (c *recordConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	for rest, begun := c.records.Next(framing.TLS, p[:n]); begun; {
		rest, begun = c.records.Next(framing.TLS, rest)
	}
	return n, err
}

// tlsQuiet reports whether the TLS of a connection, if it has any, holds nothing
// back: neither a part of a record nor one that nobody has looked into.
func (c *h1Conn) tlsQuiet() bool {
	secured, ok := c.Conn.(*tls.Conn)
	if !ok {
		return true
	}
	if below, ok := secured.NetConn().(*recordConn); !ok || !below.records.Between() {
		return false
	}
	if err := c.SetReadDeadline(longAgo); err != nil { // so that nothing is waited for
		return false
	}
	_, err := c.br.Peek(1)
	return errors.Is(err, os.ErrDeadlineExceeded) && c.SetReadDeadline(time.Time{}) == nil
}
