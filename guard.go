package culvert

import (
	"context"
	"net"
	"net/http"

	"github.com/culvert-http/culvert/internal/connwatch"
	"github.com/culvert-http/culvert/internal/resets"
)

// Guard returns what a server of your own accepts connections from, so that what
// [net/http] does not show to handlers is looked at on the way, as `culvert serve`
// does:
//
//	log.Fatal(server.Serve(culvert.Guard(server, listener)))
//
// This is:
//   - Frames of HTTP/2 that come together are read together, and the last ones of an
//     RPC are written together: net/http's server makes two system calls for each that
//     it reads, and one for each that it writes.
//   - A connection of HTTP/2 is closed on which frames that bring nothing come in
//     floods, such as PING and SETTINGS: more than 1,000 a second, and 10 for each
//     frame of a message.
//   - An address that takes requests back is read as slowly as 100 of them a second,
//     200 at once, and as many as were answered on the same connection. So are the
//     sessions of a [Handler].
//   - A connection of HTTP/1.1 stays open after a request in chunks. Without Guard a
//     [Handler] and a [Gateway] close it, for they cannot know whether it had a
//     Content-Length as well, which others may have believed.
//
// It sets server.ConnContext, which calls the one that was there. It is for
// connections without TLS, and has to be called before Serve.
func Guard(server *http.Server, listener net.Listener) net.Listener {
	others := server.ConnContext
	server.ConnContext = func(ctx context.Context, conn net.Conn) context.Context {
		if others != nil {
			ctx = others(ctx, conn)
		}
		return connwatch.ConnContext(ctx, conn)
	}
	return connwatch.Listener{Listener: listener, Resets: resets.New(resets.DefaultPerSecond)}
}
