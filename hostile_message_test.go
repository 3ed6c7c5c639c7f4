package culvert_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/culvert-http/culvert"
	culvertv1 "github.com/culvert-http/culvert/api/culvert/v1"
)

// badMessage is a message that is none, or not one of this service.
type badMessage struct {
	name    string
	message []byte
	flags   byte
	// header has names and values for the RPC's header in turn; %s in a name stands
	// for the protocol's prefix of Content-Encoding or Encoding.
	gzip  bool
	cause culvertv1.Cause
	says  string
}

// encodingHeader returns the name of the field that says how messages are
// compressed.
func (w rpcWire) encodingHeader(method string) string {
	switch {
	case w.protocol != connect.ProtocolConnect:
		return "Grpc-Encoding"
	case w.enveloped(method):
		return "Connect-Content-Encoding"
	default:
		return "Content-Encoding"
	}
}

// everyMessage calls every method with a message, in every way that has codec.
func everyMessage(t *testing.T, codec string, rows []badMessage) {
	seen := newWitness(nil)
	tunnel := seen.serve(t)
	for _, row := range rows {
		for _, method := range []string{"Exchange", "Upload", "Download", "Call"} {
			for _, w := range rpcWires {
				if !w.carries(method) || w.codec != codec || !w.enveloped(method) && row.flags != 0 && !row.gzip {
					continue
				}
				if w.enveloped(method) && len(row.message) == 0 {
					continue // no bytes are the empty message in any codec
				}
				t.Run(row.name+"/"+method+"/"+w.String(), func(t *testing.T) {
					body, header := row.message, []string(nil)
					if row.gzip {
						header = []string{w.encodingHeader(method), "gzip"}
					}
					if w.enveloped(method) {
						body = envelope(row.flags, body)
					}
					measureLive(t, func() {
						got := tunnel.call(t, w, method, bytes.NewReader(body), header...)
						seen.expectRefusal(t, got, row.cause, row.says)
					})
					if runs, _ := seen.forget(); runs > 0 {
						t.Error("the handler ran")
					}
				})
			}
		}
	}
}

func TestBadProtobufIsRefused(t *testing.T) {
	const pathField = 4 // in HTTPRequest; in RequestHead as well
	path := func(bytes string) []byte {
		return protowire.AppendString(protowire.AppendTag(nil, pathField, protowire.BytesType), bytes)
	}
	// Field 1 is the head of a frame and the method of an HTTPRequest.
	inHead := func(head []byte) []byte {
		return protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), head)
	}
	everyMessage(t, "proto", []badMessage{
		{name: "truncated tag", message: []byte{0x80}, cause: malformedRequest, says: "not a message"},
		{name: "truncated length", message: []byte{0x0a, 0x80}, cause: malformedRequest, says: "not a message"},
		{name: "truncated field", message: []byte{0x0a, 0x05, 'G', 'E', 'T'}, cause: malformedRequest, says: "not a message"},
		{name: "field of 4 GiB", message: []byte{0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f, 'x'}, cause: malformedRequest, says: "not a message"},
		{name: "field number 0", message: []byte{0x02, 0x00}, cause: malformedRequest, says: "not a message"},
		{name: "open group", message: bytes.Repeat([]byte{0xa3, 0x06}, 5_000), cause: malformedRequest, says: "not a message"},
		{name: "bad UTF-8", message: append(inHead(path("/\xff")), path("/\xff")...), cause: malformedRequest, says: "not a message"},
		{name: "surrogates in UTF-8", message: append(inHead(path("/\xed\xa0\x80")), path("/\xed\xa0\x80")...), cause: malformedRequest, says: "not a message"},
		{name: "text", message: []byte(`{"path":"/"}`), cause: malformedRequest, says: "not a message"},
	})
}

func TestBadJSONIsRefused(t *testing.T) {
	deep := func(open, shut string) []byte {
		return []byte(`{"headers":` + strings.Repeat(open, 10_000) + strings.Repeat(shut, 10_000) + `}`)
	}
	rows := []badMessage{
		{name: "unknown key", message: []byte(`{"methdo":"DELETE"}`), says: `unknown field "methdo"`},
		{name: "unknown key that is deep", message: []byte(`{"head":{"methdo":"DELETE"},"headers":[{"nam":"a"}]}`), says: "unknown field"},
		{name: "10,000 arrays", message: deep("[", "]")},
		{name: "10,000 objects", message: deep(`{"headers":`, "}")},
		{name: "10,000 objects that are unknown", message: []byte(strings.Repeat(`{"a":`, 10_000) + "1" + strings.Repeat("}", 10_000)), says: "unknown field"},
		{name: "10,000 arrays alone", message: []byte(strings.Repeat("[", 10_000))},
		{name: "unfinished", message: []byte(`{"path":"/`)},
		{name: "two values", message: []byte(`{}{}`)},
		{name: "empty", message: nil, says: "empty"},
		{name: "an array", message: []byte(`[]`)},
		{name: "bytes that are no base64", message: []byte(`{"body":"%%","data":"%%"}`)},
		{name: "a number for a text", message: []byte(`{"method":1,"head":{"method":1}}`)},
		{name: "bad UTF-8", message: []byte("{\"path\":\"/\xff\",\"head\":{\"path\":\"/\xff\"}}")},
		{name: "an escape that is no character", message: []byte(`{"path":"/\ud800","head":{"path":"/\ud800"}}`)},
		{name: "the same key twice", message: []byte(`{"path":"/","path":"/","head":{},"head":{}}`)},
	}
	for i := range rows {
		rows[i].cause = malformedRequest
	}
	everyMessage(t, "json", rows)
}

// Whatever is in a body, only one of its two forms may be there.
func TestBodyAndTextIsRefused(t *testing.T) {
	seen := newWitness(nil)
	tunnel := seen.serve(t)
	request := &culvertv1.HTTPRequest{Method: "POST", Body: []byte("a"), Text: "a"}
	for _, w := range rpcWires {
		t.Run(w.String(), func(t *testing.T) {
			got := tunnel.call(t, w, "Call", bytes.NewReader(w.body(t, "Call", request)))
			seen.expectRefusal(t, got, malformedRequest, "both body and text")
			if runs, _ := seen.forget(); runs > 0 {
				t.Error("the handler ran")
			}
		})
	}
}

func TestBadEnvelopesAreRefused(t *testing.T) {
	good := []byte("\x0a\x00\x18\x01")
	compressed := gzipped(t, good)
	everyMessage(t, "proto", []badMessage{
		{name: "compressed without a name", message: compressed, flags: 1, cause: malformedRequest, says: "compressed"},
		{name: "end of a stream", message: []byte("{}"), flags: 2, cause: malformedRequest, says: "flags"},
		{name: "trailers of gRPC-Web", message: []byte("a: b\r\n"), flags: 0x80, cause: malformedRequest, says: "flags"},
		{name: "all flags", message: good, flags: 0xff, cause: malformedRequest, says: "flags"},
		{name: "gzip that is none", message: []byte("not gzip"), flags: 1, gzip: true, cause: malformedRequest, says: "gzip"},
		{name: "gzip cut off", message: compressed[:len(compressed)-9], flags: 1, gzip: true, cause: malformedRequest, says: "gzip"},
		{name: "gzip with another sum", message: append(bytes.Clone(compressed[:len(compressed)-8]), make([]byte, 8)...), flags: 1, gzip: true, cause: malformedRequest, says: "gzip"},
		{name: "gzip bomb of zeros", message: bomb(t), flags: 1, gzip: true, cause: bodyTooLarge, says: "over the limit"},
	})
}

// bomb returns 1 GiB of zeros, compressed.
func bomb(t *testing.T) []byte {
	t.Helper()
	var compressed bytes.Buffer
	w, err := gzip.NewWriterLevel(&compressed, gzip.BestSpeed)
	if err != nil {
		t.Fatal(err)
	}
	// A member of 1 MiB, a thousand times: gzip's readers take them for one file.
	if _, err := w.Write(make([]byte, 1<<20)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return bytes.Repeat(compressed.Bytes(), 1024)[:1<<20]
}

// Bodies that end where they must not.
func TestBodiesCutOffAreRefused(t *testing.T) {
	seen := newWitness(nil)
	tunnel := seen.serve(t)
	for _, method := range []string{"Exchange", "Upload", "Download", "Call"} {
		for _, w := range rpcWires {
			if !w.carries(method) || !w.enveloped(method) {
				continue
			}
			message := w.body(t, method, messagesFor(method, whole(&requestHead{}, ""))...)
			for name, cut := range map[string]int{"in the prefix": 3, "after the prefix": 5, "in the message": len(message) - 1} {
				t.Run(name+"/"+method+"/"+w.String(), func(t *testing.T) {
					if name == "after the prefix" && len(message) == 5 {
						t.Skip("the message has no bytes")
					}
					seen.expectRefusal(t, tunnel.call(t, w, method, bytes.NewReader(message[:cut])), malformedRequest, "inside a message")
				})
			}
			t.Run("twice/"+method+"/"+w.String(), func(t *testing.T) {
				got := tunnel.call(t, w, method, bytes.NewReader(bytes.Repeat(message, 2)))
				seen.expectRefusal(t, got, malformedRequest, "")
			})
		}
	}
}

// A message that claims 4 GiB is refused at its prefix, while the client still
// sends, and without room being made for it.
func TestClaimOf4GiBIsRefusedAtOnce(t *testing.T) {
	seen := newWitness(nil)
	tunnel := seen.serve(t)
	for _, method := range []string{"Exchange", "Upload", "Download", "Call"} {
		for _, w := range rpcWires {
			if !w.carries(method) || !w.enveloped(method) {
				continue
			}
			t.Run(method+"/"+w.String(), func(t *testing.T) {
				measure(t, func() {
					client := newTrickle([]byte{0, 0xff, 0xff, 0xff, 0xff})
					defer client.stop()
					seen.expectRefusal(t, tunnel.call(t, w, method, client), bodyTooLarge, "over the limit")
				})
			})
		}
	}
}

// trickle is a body that begins with some bytes and has no end: one byte comes
// each millisecond.
type trickle struct {
	first   io.Reader
	more    *time.Ticker
	stopped chan struct{}
}

func newTrickle(first []byte) *trickle {
	return &trickle{first: bytes.NewReader(first), more: time.NewTicker(time.Millisecond), stopped: make(chan struct{})}
}

func (r *trickle) Read(p []byte) (int, error) {
	if n, err := r.first.Read(p); err == nil {
		return n, nil
	}
	select {
	case <-r.stopped:
		return 0, context.Canceled
	case <-r.more.C:
		p[0] = 'x'
		return 1, nil
	}
}

func (r *trickle) stop() {
	r.more.Stop()
	close(r.stopped)
}

// What is not a call of the service at all.
func TestOtherRequestsAreRefused(t *testing.T) {
	seen := newWitness(nil)
	tunnel := seen.serve(t)
	for _, row := range []struct {
		name, method, path, contentType string
		status                          int
		says                            string
	}{
		{"GET", "GET", "Call?encoding=json&message=%7B%7D&connect=v1", "", http.StatusMethodNotAllowed, ""},
		{"GET of a stream", "GET", "Download", "", http.StatusMethodNotAllowed, ""},
		{"PUT", "PUT", "Call", "application/json", http.StatusMethodNotAllowed, ""},
		{"a form", "POST", "Call", "application/x-www-form-urlencoded", http.StatusUnsupportedMediaType, ""},
		{"a form with files", "POST", "Call", "multipart/form-data; boundary=x", http.StatusUnsupportedMediaType, ""},
		{"text", "POST", "Call", "text/plain", http.StatusUnsupportedMediaType, ""},
		{"no type", "POST", "Call", "", http.StatusUnsupportedMediaType, ""},
		{"stream to a unary method", "POST", "Call", "application/connect+json", http.StatusUnsupportedMediaType, ""},
		{"unary to a stream", "POST", "Download", "application/json", http.StatusUnsupportedMediaType, ""},
		{"unknown codec", "POST", "Call", "application/xml", http.StatusUnsupportedMediaType, ""},
		{"unknown method", "POST", "Cal", "application/json", http.StatusNotImplemented, "no method"},
		{"method in another case", "POST", "call", "application/json", http.StatusNotImplemented, "no method"},
		{"path below a method", "POST", "Call/x", "application/json", http.StatusNotImplemented, "no method"},
		{"no method", "POST", "", "application/json", http.StatusNotImplemented, "no method"},
	} {
		for _, client := range []*http.Client{tunnel.h1, tunnel.h2} {
			request, err := http.NewRequest(row.method, tunnel.url+"/"+culvert.ServiceName+"/"+row.path, strings.NewReader("{}"))
			if err != nil {
				t.Fatal(err)
			}
			if row.method == http.MethodGet {
				request.Body, request.ContentLength = nil, 0
			}
			request.Header.Set("Content-Type", row.contentType)
			response, err := client.Do(request)
			if err != nil {
				t.Fatal(err)
			}
			body, _ := io.ReadAll(response.Body)
			response.Body.Close()
			if response.StatusCode != row.status || !strings.Contains(string(body), row.says) {
				t.Errorf("%s: HTTP %d with %q, want %d", row.name, response.StatusCode, body, row.status)
			}
		}
	}
	for len(seen.records) > 0 {
		<-seen.records
	}
	if runs, _ := seen.forget(); runs > 0 {
		t.Error("the handler ran")
	}
}

// HTTP/1.1 cannot carry Exchange. The answer is in the client's protocol, and
// says what works.
func TestExchangeOverHTTP1IsRefused(t *testing.T) {
	seen := newWitness(nil)
	tunnel := seen.serve(t)
	for _, protocol := range []string{connect.ProtocolGRPC, connect.ProtocolGRPCWeb, connect.ProtocolConnect} {
		for _, codec := range []string{"proto", "json"} {
			w := rpcWire{protocol: protocol, codec: codec}
			t.Run(w.String(), func(t *testing.T) {
				client := newTrickle(w.body(t, "Exchange", whole(&requestHead{}, "")[0]))
				defer client.stop()
				got := tunnel.call(t, w, "Exchange", client)
				seen.expectRefusal(t, got, culvertv1.Cause_CAUSE_HTTP2_REQUIRED, "Upload or Download")
				if runs, _ := seen.forget(); runs > 0 {
					t.Error("the handler ran")
				}
			})
		}
	}
}
