package server

import (
	"context"
	"io"
	"net"
	"net/http"
	"testing"
	"time"
)

// net/http would wait 5 seconds for the first request of a connection, and call
// it cut off if the grace is shorter.
func TestShutdownDoesNotWaitForUnusedConnections(t *testing.T) {
	srv, addr := start(t, tunnelConfig(http.NotFoundHandler()), anyPort)
	unused, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unused.Close() }()
	// Connections are accepted one after the other: with an answer on the second,
	// the first is known to the server.
	resp, err := newClient(t, false).Get("http://" + addr)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()

	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second)
	defer cancel()
	if err := srv.Shutdown(ctx); err != nil {
		t.Errorf("Shutdown() = %v", err)
	}
	if n, err := unused.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("Read() of the unused connection = %d, %v, want EOF", n, err)
	}
}
