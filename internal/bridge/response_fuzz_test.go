package bridge

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"reflect"
	"sync/atomic"
	"testing"

	culvertv1 "github.com/culvert-http/culvert/api/culvert/v1"
)

// answer is all that can be seen of a response.
type answer struct {
	status   int
	header   http.Header
	body     string
	trailer  http.Header
	complete bool
}

func (a answer) String() string {
	return fmt.Sprintf("%d %q, %d bytes of body %.40q, %q, complete %t", a.status, a.header, len(a.body), a.body, a.trailer, a.complete)
}

// answerOf runs a handler on an exchange in memory, and puts together what comes
// out.
func answerOf(handler http.HandlerFunc, head *culvertv1.RequestHead) (answer, Result) {
	stream := newMemoryStream(10_000)
	if head.GetUpgrade() == "" {
		stream.request(&requestFrame{Head: head, End: true})
	} else { // whose head cannot be the end as well
		stream.request(&requestFrame{Head: head}, endFrame())
	}
	stream.halfClose()
	server := &Server{
		Handler:  handler,
		Limits:   Limits{HeadBytes: 1 << 20, Fields: 1000},
		Upgrades: []string{"websocket"},
		Logger:   slog.New(slog.DiscardHandler),
	}
	result := server.Serve(context.Background(), stream, &Origin{Scheme: "http", Authority: "example.com", Streaming: true})
	got := answer{}
	for len(stream.responses) > 0 {
		frame := <-stream.responses
		if head := frame.GetHead(); head != nil {
			got.status, got.header = int(head.GetStatus()), mustDecode(responseHeader, head.GetHeaders())
		}
		got.body += string(frame.GetData())
		if frame.GetEnd() {
			got.trailer, got.complete = mustDecode(trailerSection, frame.GetTrailers()), true
		}
	}
	return got, result
}

// errorOf is the error of a result, nil if there is none.
func errorOf(result Result) error {
	if result.Err == nil {
		return nil
	}
	return result.Err
}

func mustDecode(where section, fields []*culvertv1.Field) http.Header {
	header, err := decodeFields(fields, where)
	if err != nil {
		panic(err)
	}
	return header
}

// The response that a handler writes on its hijacked connection is the one that
// net/http's client reads from the same bytes, in whatever pieces they come.
func FuzzHijackedResponse(f *testing.F) {
	f.Add([]byte("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno"), 1)
	f.Add([]byte("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X\r\n\r\n2\r\nno\r\n0\r\nX: y\r\n\r\n"), 3)
	f.Add([]byte("HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\nHTTP/1.0 500 X\r\n\r\nabc"), 100)
	f.Add([]byte("HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nabcde"), 7)
	f.Add([]byte("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nabcde"), 7)
	f.Add([]byte("HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nabcde"), 7)
	f.Add([]byte("HTTP/1.1 099 X\r\n\r\n"), 1)
	f.Add([]byte("\r\n\r\n\r\n\r\n"), 2)
	f.Fuzz(func(t *testing.T, raw []byte, size int) {
		if size <= 0 || len(raw)/size > 5_000 || bytes.Count(raw, []byte("\n")) != bytes.Count(raw, []byte("\r\n")) {
			return // net/http also takes lines that end without CR; nobody writes them
		}
		got, result := answerOf(func(w http.ResponseWriter, _ *http.Request) {
			conn, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			for rest := raw; len(rest) > 0; rest = rest[min(size, len(rest)):] {
				if _, err := conn.Write(rest[:min(size, len(rest))]); err != nil {
					return
				}
			}
		}, &culvertv1.RequestHead{Path: "/", Upgrade: "websocket"})
		if got.complete != (result.Err == nil) {
			t.Errorf("the response is complete: %t, and the RPC ends with %v", got.complete, result.Err)
		}
		want, ok := readAnswer(raw)
		if !ok {
			if got.complete {
				t.Errorf("%q was sent as %v", raw, got)
			}
			return
		}
		if want.status == http.StatusSwitchingProtocols {
			return // what follows is not HTTP
		}
		if got.status != want.status || got.body != want.body || got.complete != want.complete {
			t.Errorf("%q was sent as %v, want %v", raw, got, want)
		}
	})
}

// readAnswer is what net/http's client makes of the bytes of a response. It
// reports false if the client refuses it.
func readAnswer(raw []byte) (answer, bool) {
	reader := bufio.NewReader(bytes.NewReader(raw))
	for {
		response, err := http.ReadResponse(reader, nil)
		if err != nil {
			return answer{}, false
		}
		if status := response.StatusCode; status >= 100 && status < 200 && status != http.StatusSwitchingProtocols {
			continue
		}
		body, err := io.ReadAll(response.Body)
		got := answer{status: response.StatusCode, header: response.Header, body: string(body), trailer: response.Trailer, complete: err == nil}
		return got, got.status >= 200 || got.status == http.StatusSwitchingProtocols
	}
}

// writerOps are what a byte of the fuzzer's has a handler do.
var writerOps = []func(w http.ResponseWriter){
	func(w http.ResponseWriter) { _, _ = io.WriteString(w, "x") },
	func(w http.ResponseWriter) { _, _ = w.Write([]byte("<html><p>hello")) },
	func(w http.ResponseWriter) { _, _ = w.Write(make([]byte, 1000)) },
	func(w http.ResponseWriter) { _, _ = w.Write(bytes.Repeat([]byte("long "), 1000)) },
	func(w http.ResponseWriter) { _, _ = w.Write(nil) },
	func(w http.ResponseWriter) { _ = http.NewResponseController(w).Flush() },
	func(w http.ResponseWriter) { w.WriteHeader(http.StatusOK) },
	func(w http.ResponseWriter) { w.WriteHeader(http.StatusCreated) },
	func(w http.ResponseWriter) { w.WriteHeader(http.StatusNoContent) },
	func(w http.ResponseWriter) { w.WriteHeader(http.StatusNotModified) },
	func(w http.ResponseWriter) { w.WriteHeader(http.StatusInternalServerError) },
	func(w http.ResponseWriter) { w.WriteHeader(http.StatusEarlyHints) },
	func(w http.ResponseWriter) { w.WriteHeader(99) },
	func(w http.ResponseWriter) { w.Header().Set("Content-Length", "1") },
	func(w http.ResponseWriter) { w.Header().Set("Content-Length", "1014") },
	func(w http.ResponseWriter) { w.Header()["Content-Length"] = nil },
	func(w http.ResponseWriter) { w.Header().Set("Content-Type", "text/x") },
	func(w http.ResponseWriter) { w.Header()["Content-Type"] = nil },
	func(w http.ResponseWriter) { w.Header().Set("Content-Encoding", "gzip") },
	func(w http.ResponseWriter) { w.Header()["Date"] = nil },
	func(w http.ResponseWriter) { w.Header().Add("X-A", "b") },
	func(w http.ResponseWriter) { w.Header().Add("X-A", "caf\xe9") },
	func(w http.ResponseWriter) { w.Header()["x-lower"] = []string{"e"} },
	func(w http.ResponseWriter) { w.Header().Set("Trailer", "X-T") },
	func(w http.ResponseWriter) { w.Header().Set("X-T", "t") },
	func(w http.ResponseWriter) { w.Header().Set(http.TrailerPrefix+"X-P", "p") },
	func(http.ResponseWriter) { panic(http.ErrAbortHandler) },
}

const (
	overHTTP2 = 1 << iota
	toHEAD
)

// A handler that writes cannot tell the tunnel from net/http's own server, nor
// can who reads.
func FuzzResponseWriter(f *testing.F) {
	servers := []*referenceServer{newReferenceServer(f, false), newReferenceServer(f, true)}
	for op := range writerOps {
		f.Add(byte(0), []byte{byte(op), 0})
		f.Add(byte(overHTTP2), []byte{byte(op), 0, 5, 1})
		f.Add(byte(toHEAD), []byte{byte(op), 3})
	}
	f.Fuzz(func(t *testing.T, how byte, ops []byte) {
		if len(ops) > 30 {
			return
		}
		handler := func(w http.ResponseWriter, _ *http.Request) {
			for _, op := range ops {
				writerOps[int(op)%len(writerOps)](w)
			}
		}
		head := &culvertv1.RequestHead{Method: http.MethodGet, Path: "/", HttpVersion: culvertv1.HTTPVersion_HTTP_VERSION_1_1}
		server := servers[0]
		if how&overHTTP2 != 0 {
			server, head.HttpVersion = servers[1], culvertv1.HTTPVersion_HTTP_VERSION_2_0
		}
		if how&toHEAD != 0 {
			head.Method = http.MethodHead
		}
		want := server.answer(t, head.GetMethod(), handler)
		got, result := answerOf(handler, head)
		if !want.complete && !got.complete {
			return // how much arrives of what is cut off is not defined
		}
		if (head.GetMethod() == http.MethodHead || !bodyAllowed(want.status)) && result.Err != nil {
			return // nobody sees that a response was cut off that has no body
		}
		if how&overHTTP2 == 0 && errors.Is(errorOf(result), http.ErrAbortHandler) && want.header.Get("Content-Length") != "" {
			return // HTTP/1.1 has no way to take back a body whose length is reached; the tunnel has
		}
		if !want.complete && how&overHTTP2 != 0 && want.header.Get("Content-Length") != "" {
			return // net/http's server for HTTP/2 sends what is over the length, too
		}
		if !bodyAllowed(want.status) && want.header.Get("Content-Length") != "" {
			return // net/http's client for HTTP/2 waits for a body
		}
		for _, one := range []*answer{&got, &want} {
			one.normalise()
			if _, ok := one.header["Content-Length"]; ok && head.GetMethod() == http.MethodHead {
				// Whether refused bytes are sniffed differs between net/http's own servers.
				delete(one.header, "Content-Type")
			}
		}
		if _, ok := want.header["Content-Length"]; ok && want.trailer == nil && how&overHTTP2 == 0 {
			got.trailer = nil // HTTP/1.1 has no trailers without chunks; the tunnel has
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s, ops %v:\n got %v\nwant %v", head.GetMethod(), ops, got, want)
		}
	})
}

// normalise takes away what belongs to a hop, and what is the same in another
// form.
func (a *answer) normalise() {
	for _, name := range []string{"Connection", "Transfer-Encoding", "Trailer"} {
		delete(a.header, name)
	}
	if _, ok := a.header["Date"]; ok {
		a.header.Set("Date", "some")
	}
	if len(a.trailer) == 0 {
		a.trailer = nil
	}
	for name, values := range a.trailer {
		if len(values) == 0 {
			delete(a.trailer, name) // announced, and not sent
		}
	}
	if len(a.trailer) == 0 {
		a.trailer = nil
	}
}

// referenceServer is net/http's own, with a handler that changes.
type referenceServer struct {
	url     string
	client  *http.Client
	handler atomic.Pointer[http.HandlerFunc]
}

func newReferenceServer(f *testing.F, http2 bool) *referenceServer {
	f.Helper()
	s := &referenceServer{}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		f.Fatal(err)
	}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(!http2)
	protocols.SetUnencryptedHTTP2(http2)
	server := &http.Server{
		Handler:   http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { (*s.handler.Load())(w, r) }),
		Protocols: protocols,
		ErrorLog:  slog.NewLogLogger(slog.DiscardHandler, slog.LevelError),
	}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = server.Serve(listener)
	}()
	s.url = "http://" + listener.Addr().String()
	s.client = &http.Client{Transport: &http.Transport{Protocols: protocols, DisableCompression: true}}
	f.Cleanup(func() {
		s.client.CloseIdleConnections()
		_ = server.Close()
		<-served
	})
	return s
}

func (s *referenceServer) answer(t *testing.T, method string, handler http.HandlerFunc) answer {
	t.Helper()
	s.handler.Store(&handler)
	request, err := http.NewRequest(method, s.url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	response, err := s.client.Do(request)
	if err != nil {
		return answer{} // the handler has panicked
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return answer{
		status: response.StatusCode, header: response.Header, body: string(body), trailer: response.Trailer, complete: err == nil,
	}
}
