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

// What breaks the chunks of a body is the client's fault, and it is told so: it is
// not a client that has gone.
func TestBadChunksAreRefused(t *testing.T) {
	seen := newWitness(nil)
	tunnel := seen.serve(t)
	for name, chunks := range map[string]string{
		"size that is no number":  "zz\r\n",
		"no size":                 "\r\n",
		"size beyond numbers":     "fffffffffffffffff\r\n",
		"bare LF":                 "1\n\x00\r\n",
		"bytes behind a chunk":    "1\r\n\x00abc\r\n",
		"long extension":          "1;" + strings.Repeat("x", 5000) + "\r\n\x00\r\n",
		"trailer without a colon": "1\r\n{\r\n0\r\nabc\r\n\r\n",
	} {
		for _, method := range []string{"Upload", "Download", "Call"} {
			for _, w := range rpcWires {
				if w.http2 {
					continue
				}
				t.Run(name+"/"+method+"/"+w.String(), func(t *testing.T) {
					conn := dial(t, strings.TrimPrefix(tunnel.url, "http://"))
					fmt.Fprintf(conn, "POST /%s/%s HTTP/1.1\r\nHost: x\r\nContent-Type: %s\r\nTransfer-Encoding: chunked\r\n\r\n%s",
						culvert.ServiceName, method, w.contentType(method), chunks)
					response, err := http.ReadResponse(bufio.NewReader(conn), nil)
					if err != nil {
						t.Fatal(err)
					}
					body, err := io.ReadAll(response.Body)
					if err != nil {
						t.Fatal(err)
					}
					seen.expectRefusal(t, w.outcome(t, method, response, body), malformedRequest, "chunks")
					if runs, _ := seen.forget(); runs > 0 || !response.Close {
						t.Errorf("the handler ran %d times, the connection closes: %t", runs, response.Close)
					}
				})
			}
		}
	}
}

// The same behind the head, when the application runs already.
func TestBadChunksOfABodyAreRefused(t *testing.T) {
	seen := newWitness(nil)
	tunnel := seen.serve(t)
	for _, w := range rpcWires {
		if w.http2 {
			continue
		}
		t.Run(w.String(), func(t *testing.T) {
			conn := dial(t, strings.TrimPrefix(tunnel.url, "http://"))
			head := w.body(t, "Upload", headFrame("/"), dataFrame("abc"))
			fmt.Fprintf(conn, "POST /%s/Upload HTTP/1.1\r\nHost: x\r\nContent-Type: %s\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\nzz\r\n",
				culvert.ServiceName, w.contentType("Upload"), len(head), head)
			response, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(response.Body)
			if err != nil {
				t.Fatal(err)
			}
			seen.expectRefusal(t, w.outcome(t, "Upload", response, body), malformedRequest, "chunks")
			if runs, err := seen.forget(); runs != 1 || err == nil {
				t.Errorf("the handler ran %d times and saw %v", runs, err)
			}
		})
	}
}
