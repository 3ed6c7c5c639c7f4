package oracle

import (
	"fmt"
	"io"
	"net"
	"net/http"
)

// upgradeRows are about connections that change to another protocol. The
// libraries that do so in earnest have tests of their own.
func upgradeRows() []Row {
	request := Request{Upgrade: "websocket", Header: http.Header{"Sec-Websocket-Key": {"x"}}, Body: []string{"one", "two"}}
	row := func(name string, status int, handler http.HandlerFunc) Row {
		return Row{Name: "upgrade/" + name, Handler: handler, Status: status, Request: request, Versions: []Version{HTTP11}}
	}
	const switching = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nX-A: 1\r\n\r\n"
	return []Row{
		row("hijacked and echoed", 101, hijacks(func(conn net.Conn, rw io.ReadWriter) {
			_, _ = io.WriteString(conn, switching)
			_, _ = io.Copy(conn, rw)
		})),
		row("head in parts", 101, hijacks(func(conn net.Conn, rw io.ReadWriter) {
			for i := range switching {
				_, _ = io.WriteString(conn, switching[i:i+1])
			}
			_, _ = io.Copy(conn, rw)
		})),
		row("head and bytes at once", 101, hijacks(func(conn net.Conn, rw io.ReadWriter) {
			_, _ = io.WriteString(conn, switching+"first")
			_, _ = io.Copy(conn, rw)
		})),
		row("refused by the handler", 426, answer(426, "no")),
		row("refused on the connection", 403, hijacks(func(conn net.Conn, _ io.ReadWriter) {
			_, _ = io.WriteString(conn, "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\nX-A: 1\r\n\r\nno")
		})),
		row("not asked for", 200, hello),
	}
}

// hijacks returns a handler that takes the connection over.
func hijacks(use func(net.Conn, io.ReadWriter)) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		conn, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			panic(fmt.Sprintf("hijack: %v", err))
		}
		defer func() { _ = conn.Close() }()
		use(conn, rw)
	}
}
