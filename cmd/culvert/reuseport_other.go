//go:build !unix || solaris

package main

import (
	"errors"
	"syscall"
)

// reusePort lets several processes listen on one address, where that is possible.
func reusePort(_, _ string, _ syscall.RawConn) error {
	return errors.New("--reuse-port does not work on this system")
}
