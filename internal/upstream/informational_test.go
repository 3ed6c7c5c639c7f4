package upstream

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	culvertv1 "github.com/culvert-http/culvert/api/culvert/v1"
)

// TestInformationalFlood has an upstream that sends more interim responses than
// anybody can want. The client takes them all.
func TestInformationalFlood(t *testing.T) {
	address := startRaw(t, func(conn net.Conn) {
		if _, err := http.ReadRequest(bufio.NewReader(conn)); err != nil {
			return
		}
		hints := strings.Repeat("HTTP/1.1 103 Early Hints\r\n\r\n", maxInformational+1)
		_, _ = io.WriteString(conn, hints+"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
	})
	front := startFront(t, "http://"+address, Options{})
	conn, err := net.Dial("tcp", front.address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(conn)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(got), "200 OK") {
		t.Fatal("the final response came through")
	}
	if failed := front.failed(t); failed.cause != culvertv1.Cause_CAUSE_RESPONSE_TOO_LARGE {
		t.Errorf("failed with %v: %v", failed.cause, failed.err)
	}
}
