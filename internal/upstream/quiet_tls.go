package upstream

import (
	"crypto/tls"
	"encoding/binary"
	"errors"
	"net"
	"os"
	"time"
)

// recordConn is a connection below TLS that knows whether it was read to the end
// of a record. tls.Conn reads ahead, and does not tell of what it has.
type recordConn struct {
	net.Conn
	header [5]byte // of the record [RFC 8446 § 5.1]
	have   int     // bytes of it
	left   int     // bytes of the record
}

// Read implements io.Reader.
func (c *recordConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	for got := p[:n]; len(got) > 0; {
		if c.left > 0 {
			skipped := min(c.left, len(got))
			c.left -= skipped
			got = got[skipped:]
			continue
		}
		copied := copy(c.header[c.have:], got)
		got = got[copied:]
		if c.have += copied; c.have == len(c.header) {
			c.have, c.left = 0, int(binary.BigEndian.Uint16(c.header[3:]))
		}
	}
	return n, err
}

// betweenRecords reports whether nothing was read of a record but all of it.
func (c *recordConn) betweenRecords() bool { return c.have == 0 && c.left == 0 }

// tlsQuiet reports whether the TLS of a connection, if it has any, holds nothing
// back: neither a part of a record nor one that nobody has looked into.
func (c *h1Conn) tlsQuiet() bool {
	secured, ok := c.Conn.(*tls.Conn)
	if !ok {
		return true
	}
	if below, ok := secured.NetConn().(*recordConn); !ok || !below.betweenRecords() {
		return false
	}
	if err := c.SetReadDeadline(longAgo); err != nil { // so that nothing is waited for
		return false
	}
	_, err := c.br.Peek(1)
	return errors.Is(err, os.ErrDeadlineExceeded) && c.SetReadDeadline(time.Time{}) == nil
}
