package server

import (
	"net"
	"net/http"
	"sync"
)

// unusedConns are the connections that nothing has been received on yet: those
// that clients open ahead of their requests, or open and then find that another
// has become free. http.Server.Shutdown waits 5 seconds for their first request,
// as if they were in use.
type unusedConns struct {
	mu      sync.Mutex
	conns   map[net.Conn]struct{}
	closing bool
}

// note takes the new state of a connection, for http.Server.ConnState.
func (u *unusedConns) note(conn net.Conn, state http.ConnState) {
	u.mu.Lock()
	defer u.mu.Unlock()
	switch {
	case state != http.StateNew:
		delete(u.conns, conn)
	case u.closing:
		_ = conn.Close()
	default:
		if u.conns == nil {
			u.conns = make(map[net.Conn]struct{})
		}
		u.conns[conn] = struct{}{}
	}
}

// close closes them, and those that come later.
func (u *unusedConns) close() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.closing = true
	for conn := range u.conns {
		_ = conn.Close()
	}
	clear(u.conns)
}
