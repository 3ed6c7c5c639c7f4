package culvert_test

import (
	"bufio"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/culvert-http/culvert"
	culvertv1 "github.com/culvert-http/culvert/api/culvert/v1"
)

// wholeUpload are the frames of a whole request, as a client of HTTP/1.1 sends them.
func wholeUpload(tb testing.TB, w rpcWire) string {
	tb.Helper()
	return string(w.body(tb, "Upload",
		&culvertv1.RequestFrame{Head: &culvertv1.RequestHead{Method: http.MethodPost, Path: "/"}},
		&culvertv1.RequestFrame{Data: []byte("hello")}, &culvertv1.RequestFrame{End: true}))
}

// beginUpload sends the beginning of an RPC, in one chunk.
func beginUpload(tb testing.TB, tunnel *tunnel, contentType, body string) net.Conn {
	tb.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(tunnel.url, "http://"))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { conn.Close() })
	fmt.Fprintf(conn, "POST /%s/Upload HTTP/1.1\r\nHost: x\r\nContent-Type: %s\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n",
		culvert.ServiceName, contentType, len(body), body)
	return conn
}

// TestUploadIsCancelled has clients of HTTP/1.1 go away after their last frame,
// while the handler works.
func TestUploadIsCancelled(t *testing.T) {
	for _, w := range rpcWires {
		if w.http2 {
			continue
		}
		for _, text := range []bool{false, true} {
			contentType, body := w.contentType("Upload"), wholeUpload(t, w)
			if text {
				if contentType != "application/grpc-web+proto" {
					continue
				}
				contentType, body = "application/grpc-web-text", base64.StdEncoding.EncodeToString([]byte(body))
			}
			for name, end := range map[string]string{"after the end": "0\r\n\r\n", "before the end": ""} {
				t.Run(contentType+", "+name+" of the RPC's request", func(t *testing.T) {
					running, ended := make(chan struct{}), make(chan struct{})
					tunnel := newTunnel(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
						defer close(ended)
						if body, err := io.ReadAll(r.Body); string(body) != "hello" || err != nil {
							t.Errorf("got %q, %v", body, err)
						}
						close(running)
						<-r.Context().Done()
					}))
					conn := beginUpload(t, tunnel, contentType, body)
					_, _ = io.WriteString(conn, end)
					within(t, running)
					conn.Close()
					within(t, ended)
				})
			}
		}
	}
}

// TestUploadAnswersBeforeEnd has clients keep the RPC's request open after the last
// frame, or send on. They get one answer, and what they send on is no request. If
// it has come in time it is a malformed one.
func TestUploadAnswersBeforeEnd(t *testing.T) {
	for name, row := range map[string]struct {
		rest string
		good bool
	}{
		"nothing":      {"", true},
		"half a size":  {"f", true},
		"more":         {"5\r\nhello\r\n", false},
		"not a chunk":  {"GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n", false},
		"half a chunk": {"ff\r\n\x00", false},
	} {
		t.Run(name, func(t *testing.T) {
			tunnel := newTunnel(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(w, r.Body)
			}))
			w := rpcWire{"connect", "json", false}
			conn := beginUpload(t, tunnel, w.contentType("Upload"), wholeUpload(t, w))
			_, _ = io.WriteString(conn, row.rest)
			reader := bufio.NewReader(conn)
			response, err := http.ReadResponse(reader, nil)
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(response.Body)
			good := strings.Contains(string(body), `"status":200`)
			if response.StatusCode != http.StatusOK || row.good && !good || err != nil {
				t.Errorf("got %s %q, %v", response.Status, body, err)
			}
			if !response.Close {
				t.Error("the answer does not say that the connection closes")
			}
			if again, err := http.ReadResponse(reader, nil); err == nil {
				t.Errorf("there is a second answer, %s", again.Status)
			}
		})
	}
}
