package server

import (
	"context"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/culvert-http/culvert/internal/peerrate"
)

// refusedConns is how many connections over the bound are kept for as long as it
// takes to tell them so. More are closed without a word.
const refusedConns = 100

// connBounds counts the connections of a listener, all and by address.
type connBounds struct {
	most, mostPerPeer int // 0 means no bound

	mu      sync.Mutex
	count   int
	refused int
	perPeer map[netip.Addr]int
}

// admission says what becomes of a connection.
type admission int

const (
	connAdmitted admission = iota
	connRefused            // it gets an answer that says so
	connClosed             // it gets none
)

func newConnBounds(most, mostPerPeer int) *connBounds {
	return &connBounds{most: most, mostPerPeer: mostPerPeer, perPeer: make(map[netip.Addr]int)}
}

// enter counts a connection in.
func (b *connBounds) enter(peer netip.Addr) admission {
	b.mu.Lock()
	defer b.mu.Unlock()
	over := b.most > 0 && b.count >= b.most ||
		b.mostPerPeer > 0 && peer.IsValid() && b.perPeer[peer] >= b.mostPerPeer
	switch {
	case !over:
		b.count++
		if peer.IsValid() {
			b.perPeer[peer]++
		}
		return connAdmitted
	case b.refused < refusedConns:
		b.refused++
		return connRefused
	default:
		return connClosed
	}
}

// leave counts it out again.
func (b *connBounds) leave(peer netip.Addr, as admission) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if as == connRefused {
		b.refused--
		return
	}
	b.count--
	if peer.IsValid() {
		if b.perPeer[peer]--; b.perPeer[peer] == 0 {
			delete(b.perPeer, peer)
		}
	}
}

// peerOf returns what a connection counts for, the zero Addr on a unix socket.
func peerOf(addr net.Addr) netip.Addr {
	tcp, ok := addr.(*net.TCPAddr)
	if !ok {
		return netip.Addr{}
	}
	return peerrate.Subscriber(tcp.AddrPort().Addr())
}

// boundedListener accepts connections within bounds.
type boundedListener struct {
	net.Listener
	bounds *connBounds
	// refusal bounds the time of a connection that is refused.
	refusal time.Duration
}

// Accept implements net.Listener.
func (l *boundedListener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		peer := peerOf(conn.RemoteAddr())
		as := l.bounds.enter(peer)
		if as == connClosed {
			_ = conn.Close()
			continue
		}
		return l.lease(conn, peer, as), nil
	}
}

// lease returns the connection as one that is counted out when it is closed. It
// has the methods of what it is made of, which net/http and the gateway look for.
func (l *boundedListener) lease(conn net.Conn, peer netip.Addr, as admission) net.Conn {
	lease := &connLease{refused: as == connRefused}
	lease.leave = sync.OnceFunc(func() { l.bounds.leave(peer, as) })
	if lease.refused {
		timer := time.AfterFunc(l.refusal, func() { _ = conn.Close() })
		leave := lease.leave
		lease.leave = func() {
			timer.Stop()
			leave()
		}
	}
	switch conn := conn.(type) {
	case *net.TCPConn:
		return &leasedTCP{conn, lease}
	case *net.UnixConn:
		return &leasedUnix{conn, lease}
	default:
		return &leasedConn{conn, lease}
	}
}

// connLease is the place of a connection among those of its listener.
type connLease struct {
	refused bool
	leave   func()
}

func (l *connLease) isRefused() bool { return l.refused }

type (
	leasedTCP struct {
		*net.TCPConn
		*connLease
	}
	leasedUnix struct {
		*net.UnixConn
		*connLease
	}
	leasedConn struct {
		net.Conn
		*connLease
	}
)

// Close implements net.Conn.
func (c *leasedTCP) Close() error {
	defer c.leave()
	return c.TCPConn.Close()
}

// Close implements net.Conn.
func (c *leasedUnix) Close() error {
	defer c.leave()
	return c.UnixConn.Close()
}

// Close implements net.Conn.
func (c *leasedConn) Close() error {
	defer c.leave()
	return c.Conn.Close()
}

type refusedKey struct{}

// withRefusal leaves in the context of a connection's requests that they are
// refused, if they are.
func withRefusal(ctx context.Context, conn net.Conn) context.Context {
	if leased, ok := layer[interface{ isRefused() bool }](conn); ok && leased.isRefused() {
		return context.WithValue(ctx, refusedKey{}, true)
	}
	return ctx
}
