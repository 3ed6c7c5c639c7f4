package culvert_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/culvert-http/culvert"
)

// On HTTP/1.1 an answer can come before the request's body has. What is still to
// come of the body must not become a request of its own.
func TestUnreadBodyIsNoRequest(t *testing.T) {
	const smuggled = "POST /" + culvert.ServiceName + "/Call HTTP/1.1\r\nHost: x\r\n" +
		"Content-Type: application/json\r\nContent-Length: 20\r\n\r\n{\"path\": \"/smuggled\"}"
	for _, row := range []struct {
		name, method, contentType, first string
	}{
		{"the handler does not read", "Upload", "application/connect+json", string(envelope(0, []byte(`{"head":{"method":"POST"}}`)))},
		{"the request is malformed", "Upload", "application/connect+json", string(envelope(0, []byte(`{"head":{"method":"a b"}}`)))},
		{"the message is too large", "Upload", "application/grpc-web+proto", "\x00\xff\xff\xff\xff"},
		{"the one message is too large", "Download", "application/grpc-web+proto", "\x00\xff\xff\xff\xff"},
		{"the one message is too large for Connect", "Download", "application/connect+proto", "\x00\xff\xff\xff\xff"},
		{"the message is late", "Call", "application/json", "{"},
		{"the enveloped message is late", "Call", "application/grpc-web+proto", "\x00\x00"},
		{"the head is late", "Upload", "application/connect+json", ""},
		{"the method needs HTTP/2", "Exchange", "application/connect+json", ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			paths := make(chan string, 10)
			tunnel := newTunnel(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { paths <- r.URL.Path }),
				culvert.WithHeadTimeout(50*time.Millisecond))
			conn, err := net.Dial("tcp", strings.TrimPrefix(tunnel.url, "http://"))
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(conn, "POST /%s/%s HTTP/1.1\r\nHost: x\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s",
				culvert.ServiceName, row.method, row.contentType, len(row.first)+10, row.first)
			reader := bufio.NewReader(conn)
			response, err := http.ReadResponse(reader, nil)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := io.Copy(io.Discard, response.Body); err != nil {
				t.Fatal(err)
			}
			if !response.Close {
				t.Error("the answer does not say that the connection closes")
			}
			_, _ = io.WriteString(conn, smuggled)
			if again, err := http.ReadResponse(reader, nil); err == nil {
				t.Errorf("there is a second answer, %s", again.Status)
			}
			close(paths)
			for path := range paths {
				if path == "/smuggled" {
					t.Error("the handler saw the rest of a body as a request")
				}
			}
		})
	}
}
