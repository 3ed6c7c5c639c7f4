//go:build unix

package upstream

import (
	"crypto/tls"
	"net"
	"syscall"
)

// socketQuiet reports whether a connection is open and has nothing to read. It
// does not wait, and takes nothing away.
func socketQuiet(conn net.Conn) bool {
	if secured, ok := conn.(*tls.Conn); ok {
		conn = secured.NetConn()
	}
	if below, ok := conn.(*recordConn); ok {
		conn = below.Conn
	}
	socket, ok := conn.(syscall.Conn)
	if !ok {
		return true
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return false
	}
	quiet := false
	err = raw.Read(func(fd uintptr) bool {
		var one [1]byte
		_, _, peekErr := syscall.Recvfrom(int(fd), one[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		quiet = peekErr == syscall.EAGAIN || peekErr == syscall.EINTR
		return true
	})
	return err == nil && quiet
}
