//go:build !unix

package upstream

import "net"

// socketQuiet cannot tell here. A connection that the upstream has closed shows
// when it is used.
func socketQuiet(net.Conn) bool { return true }
