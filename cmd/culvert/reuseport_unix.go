//go:build unix && !solaris

package main

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// reusePort lets several processes listen on one address.
func reusePort(_, _ string, conn syscall.RawConn) error {
	var optErr error
	err := conn.Control(func(fd uintptr) {
		optErr = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
	})
	if err != nil {
		return err
	}
	return optErr
}
