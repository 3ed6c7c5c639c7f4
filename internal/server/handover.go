package server

import (
	"net"
	"sync/atomic"
)

// handover is a listener that can be left to a successor, who listens on the same
// address already: it takes no more connections, and its server does not notice.
type handover struct {
	net.Listener
	server *Server
	left   atomic.Bool
}

// leave has all new connections go to the successor.
func (h *handover) leave() {
	h.left.Store(true)
	_ = h.Listener.Close()
}

// Accept implements net.Listener. After leave it waits until the server closes.
func (h *handover) Accept() (net.Conn, error) {
	conn, err := h.Listener.Accept()
	if err != nil && h.left.Load() {
		<-h.server.closing.Done()
		return nil, net.ErrClosed
	}
	return conn, err
}
