package culvert_test

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"github.com/culvert-http/culvert"
)

// startGuarded starts a server of somebody's own in front of a handler, guarded or
// not.
func startGuarded(t *testing.T, handler http.Handler, guarded bool) (addr string) {
	t.Helper()
	server := httptest.NewUnstartedServer(handler)
	server.Config.Protocols = new(http.Protocols)
	server.Config.Protocols.SetHTTP1(true)
	server.Config.Protocols.SetUnencryptedHTTP2(true)
	if guarded {
		server.Listener = culvert.Guard(server.Config, server.Listener)
	}
	server.Start()
	t.Cleanup(server.Close)
	return server.Listener.Addr().String()
}

// A connection stays open after a request in chunks, because it was seen that there
// is no length beside them.
func TestGuardLooksAtHeads(t *testing.T) {
	_, handler := culvert.NewHandler(http.NotFoundHandler())
	for name, head := range map[string]string{
		"chunks": "Transfer-Encoding: chunked\r\n",
		"both":   "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
	} {
		for _, guarded := range []bool{false, true} {
			conn, err := net.Dial("tcp", startGuarded(t, handler, guarded)) //nolint:noctx // of a test
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = conn.Close() })
			_ = conn.SetDeadline(time.Now().Add(patience))
			_, err = io.WriteString(conn, "POST /"+culvert.ServiceName+"/Call HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"+
				head+"\r\n2\r\n{}\r\n0\r\n\r\n")
			if err != nil {
				t.Fatal(err)
			}
			response, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				t.Fatal(err)
			}
			_ = response.Body.Close()
			if want := !guarded || name == "both"; response.Close != want {
				t.Errorf("%s, guarded %t: closing: %t, want %t", name, guarded, response.Close, want)
			}
		}
	}
}

// A flood of frames ends its connection.
func TestGuardEndsFloods(t *testing.T) {
	conn, err := net.Dial("tcp", startGuarded(t, http.NotFoundHandler(), true)) //nolint:noctx // of a test
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(patience))
	go func() { _, _ = io.Copy(io.Discard, conn) }()
	_, err = io.WriteString(conn, http2.ClientPreface)
	framer := http2.NewFramer(conn, nil)
	if err == nil {
		err = framer.WriteSettings()
	}
	for err == nil {
		err = framer.WritePing(false, [8]byte{})
	}
	if netErr, ok := err.(net.Error); ok && netErr.Timeout() {
		t.Error("the connection is still open")
	}
}

// What the server has of its own for connections stays.
func TestGuardKeepsConnContext(t *testing.T) {
	type key struct{}
	server := &http.Server{ConnContext: func(ctx context.Context, _ net.Conn) context.Context {
		return context.WithValue(ctx, key{}, "own")
	}}
	listener, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // of a test
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	culvert.Guard(server, listener)
	if got := server.ConnContext(t.Context(), nil).Value(key{}); got != "own" {
		t.Errorf("got %v", got)
	}
}
