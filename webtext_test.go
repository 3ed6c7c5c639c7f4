package culvert_test

import (
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"

	"github.com/culvert-http/culvert"
	culvertv1 "github.com/culvert-http/culvert/api/culvert/v1"
)

const webTextType = "application/grpc-web-text"

// paddedTexts finds base64 texts that follow each other.
var paddedTexts = regexp.MustCompile(`[A-Za-z0-9+/]+={0,2}`)

// callText makes an RPC in the text mode of gRPC-Web, whose request is text.
func (t *tunnel) callText(tb testing.TB, method string, http2 bool, text io.Reader) *http.Response {
	tb.Helper()
	request, err := http.NewRequestWithContext(tb.Context(), http.MethodPost, t.url+"/"+culvert.ServiceName+"/"+method, text)
	if err != nil {
		tb.Fatal(err)
	}
	request.Header.Set("Content-Type", webTextType+"+proto")
	request.Header.Set("Accept", webTextType)
	client := t.h1
	if http2 {
		client = t.h2
	}
	response, err := client.Do(request)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { response.Body.Close() })
	if got := response.Header.Get("Content-Type"); got != webTextType+"+proto" {
		tb.Errorf("Content-Type: %s", got)
	}
	return response
}

// textOutcome reads the whole answer of an RPC in text mode.
func textOutcome(tb testing.TB, method string, response *http.Response) outcome {
	tb.Helper()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		tb.Fatal(err)
	}
	var body []byte
	for _, part := range paddedTexts.FindAllString(string(text), -1) {
		decoded, err := base64.StdEncoding.DecodeString(part)
		if err != nil {
			tb.Fatalf("the answer %q: %v", part, err)
		}
		body = append(body, decoded...)
	}
	return rpcWire{protocol: connect.ProtocolGRPCWeb, codec: "proto"}.outcome(tb, method, response, body)
}

// textOf encodes messages each by itself, so that padding is everywhere.
func textOf(tb testing.TB, messages ...proto.Message) string {
	tb.Helper()
	var text strings.Builder
	for _, message := range messages {
		data, err := proto.Marshal(message)
		if err != nil {
			tb.Fatal(err)
		}
		framed := envelope(0, data)
		text.WriteString(base64.StdEncoding.EncodeToString(framed[:5]))
		text.WriteString(base64.StdEncoding.EncodeToString(framed[5:]))
	}
	return text.String()
}

func TestWebText(t *testing.T) {
	tun := newTunnel(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		fmt.Fprintf(w, "%s %s %s", r.Method, r.RequestURI, body)
	}))
	head := &culvertv1.RequestHead{Method: "POST", Path: "/text"}
	for _, http2 := range []bool{false, true} {
		for method, messages := range map[string][]proto.Message{
			"Call":     {&culvertv1.HTTPRequest{Method: "POST", Path: "/text", Text: "hello"}},
			"Download": {&culvertv1.RequestFrame{Head: head, Data: []byte("hello")}},
			"Upload": {
				&culvertv1.RequestFrame{Head: head},
				&culvertv1.RequestFrame{Data: []byte("hel")},
				&culvertv1.RequestFrame{Data: []byte("lo"), End: true},
			},
		} {
			t.Run(fmt.Sprintf("%s HTTP/2 %v", method, http2), func(t *testing.T) {
				got := textOutcome(t, method, tun.callText(t, method, http2, strings.NewReader(textOf(t, messages...))))
				if got.code != 0 || len(got.messages) == 0 {
					t.Fatalf("outcome: %v", got)
				}
				body := ""
				for _, message := range got.messages {
					body += string(message)
				}
				if !strings.Contains(body, "POST /text hello") {
					t.Errorf("answer %q", body)
				}
				bad := strings.NewReader(textOf(t, messages...)[:8] + "%%%%")
				got = textOutcome(t, method, tun.callText(t, method, http2, bad))
				if got.code != connect.CodeInvalidArgument || got.cause != culvertv1.Cause_CAUSE_MALFORMED_REQUEST {
					t.Errorf("of what is not base64: %v", got)
				}
			})
		}
	}
	t.Run("Exchange over HTTP/1.1", func(t *testing.T) {
		got := textOutcome(t, "Exchange", tun.callText(t, "Exchange", false, strings.NewReader(textOf(t, &culvertv1.RequestFrame{Head: head, End: true}))))
		if got.code != connect.CodeUnimplemented || got.cause != culvertv1.Cause_CAUSE_HTTP2_REQUIRED {
			t.Errorf("outcome: %v", got)
		}
	})
}

// TestWebTextStreams reads each event before the next is written.
func TestWebTextStreams(t *testing.T) {
	next := make(chan struct{})
	tun := newTunnel(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for i := range 5 {
			fmt.Fprintf(w, "data: %s\n\n", strings.Repeat("x", i))
			_ = http.NewResponseController(w).Flush()
			select {
			case <-next:
			case <-r.Context().Done():
				return
			}
		}
	}))
	for _, http2 := range []bool{false, true} {
		text := textOf(t, &culvertv1.RequestFrame{Head: &culvertv1.RequestHead{Path: "/"}})
		response := tun.callText(t, "Download", http2, strings.NewReader(text))
		var body []byte
		for i := range 5 {
			event := fmt.Sprintf("data: %s\n\n", strings.Repeat("x", i))
			group := make([]byte, 4)
			for !strings.Contains(string(body), event) {
				if _, err := io.ReadFull(response.Body, group); err != nil {
					t.Fatalf("HTTP/2 %v, event %d: %v after %q", http2, i, err, body)
				}
				decoded, err := base64.StdEncoding.DecodeString(string(group))
				if err != nil {
					t.Fatalf("the answer %q: %v", group, err)
				}
				body = append(body, decoded...)
			}
			next <- struct{}{}
		}
		if _, err := io.Copy(io.Discard, response.Body); err != nil {
			t.Errorf("HTTP/2 %v: %v", http2, err)
		}
	}
}
