package server

import (
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestWindowsOnTheWire(t *testing.T) {
	_, addr := start(t, tunnelConfig(http.NotFoundHandler()), anyPort)
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	stream, total, err := readWindows(conn)
	if err != nil || stream != 4<<20 || total != 64<<20 {
		t.Errorf("windows are %d and %d, %v, want 4 MiB and 64 MiB", stream, total, err)
	}
}

func TestCheckWindowsFindsWhatIsNotTaken(t *testing.T) {
	err := checkWindows(&http.HTTP2Config{
		MaxReceiveBufferPerStream: streamWindow,
		// Less than HTTP/2's initial window, which cannot shrink: net/http takes its
		// own default.
		MaxReceiveBufferPerConnection: 10_000,
	})
	if err == nil || !strings.Contains(err.Error(), "want 4194304 and 10000") {
		t.Errorf("checkWindows() = %v, want an error with the windows", err)
	}
}
