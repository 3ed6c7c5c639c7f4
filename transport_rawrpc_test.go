package culvert_test

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"

	"github.com/culvert-http/culvert"
	culvertv1 "github.com/culvert-http/culvert/api/culvert/v1"
)

// rawAnswers are answers to an RPC that streams, right and wrong, as they stand in
// the body and in the trailers of HTTP.
func rawAnswers(tb testing.TB) []rawAnswer {
	tb.Helper()
	whole, err := proto.Marshal(&responseFrame{Head: responseHead(200), Data: []byte("a"), End: true})
	if err != nil {
		tb.Fatal(err)
	}
	half, err := proto.Marshal(&responseFrame{Head: responseHead(200), Data: []byte("a")})
	if err != nil {
		tb.Fatal(err)
	}
	message, begun := string(envelope(0, whole)), string(envelope(0, half))
	end := func(flags byte, text string) string { return string(envelope(flags, []byte(text))) }
	const failed = `{"error":{"code":"resource_exhausted","message":"m"}}`
	grpc, web, plain := culvert.ProtocolGRPC, culvert.ProtocolGRPCWeb, culvert.ProtocolConnect
	return []rawAnswer{
		{name: "grpc", protocol: grpc, body: message, status: "0"},
		{name: "grpc without status", protocol: grpc, body: begun},
		{name: "grpc error", protocol: grpc, body: begun, status: "16"},
		{name: "grpc error instead of a head", protocol: grpc, status: "7"},
		{name: "grpc with a status that is none", protocol: grpc, body: begun, status: "x"},
		{name: "grpc, unknown flags", protocol: grpc, body: begun + end(2, "{}"), status: "0"},
		{name: "grpc, compressed", protocol: grpc, body: begun + end(1, "x"), status: "0"},
		{name: "grpc, cut in the prefix", protocol: grpc, body: begun + "\x00\x00", status: "0"},
		{name: "grpc, cut in a message", protocol: grpc, body: begun + "\x00\x00\x00\x00\x09x", status: "0"},
		{name: "grpc, over the limit", protocol: grpc, body: begun + "\x00\x7f\xff\xff\xff" + strings.Repeat("x", 100), status: "0"},
		{name: "grpc, over the limit at first", protocol: grpc, body: "\x00\x7f\xff\xff\xff", status: "0"},
		{name: "web", protocol: web, body: message + end(0x80, "grpc-status: 0\r\n")},
		{name: "web without trailers", protocol: web, body: begun},
		{name: "web, empty trailers", protocol: web, body: begun + end(0x80, "")},
		{name: "web, trailers that are none", protocol: web, body: begun + end(0x80, "x")},
		{name: "web error", protocol: web, body: begun + end(0x80, "grpc-status: 16\r\ngrpc-message: m\r\n")},
		{name: "web error instead of a head", protocol: web, body: end(0x80, "grpc-status: 7\r\n")},
		{name: "web, cut in the trailers", protocol: web, body: begun + "\x80\x00\x00\x00\x10grpc"},
		{name: "connect", protocol: plain, body: message + end(2, "{}")},
		{name: "connect with metadata", protocol: plain, body: message + end(2, `{"metadata":{"a":["error"]}}`)},
		{name: "connect without an end", protocol: plain, body: begun},
		{name: "connect, cut in the end", protocol: plain, body: begun + "\x02\x00\x00\x00\x02{"},
		{name: "connect error", protocol: plain, body: begun + end(2, strings.ReplaceAll(failed, "resource_exhausted", "unauthenticated"))},
		{name: "connect error, spelt otherwise", protocol: plain, body: begun + end(2, strings.ReplaceAll(
			strings.ReplaceAll(failed, "resource_exhausted", "permission_denied"), `"error"`, `"\u0065rror"`))},
		{name: "connect, another error, spelt otherwise", protocol: plain, body: message + end(2, strings.ReplaceAll(failed, `"error"`, `"Error"`))},
		{name: "connect, an end that is no JSON", protocol: plain, body: message + end(2, "x")},
		{name: "connect, an empty end", protocol: plain, body: message + end(2, "")},
	}
}

// rawAnswer is the body of an RPC's response, and its status in gRPC.
type rawAnswer struct {
	name, body, status string
	protocol           culvert.Protocol
}

// ServeHTTP implements http.Handler.
func (a rawAnswer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	w.Header().Set("Content-Type", r.Header.Get("Content-Type"))
	if a.status != "" {
		w.Header().Set(http.TrailerPrefix+"Grpc-Status", a.status)
	}
	_, _ = io.WriteString(w, a.body)
}

// readingOf is what a transport makes of an answer.
func readingOf(tb testing.TB, answer rawAnswer, opts ...culvert.TransportOption) (body string, cause culvertv1.Cause, err error) {
	tb.Helper()
	opts = append(opts, culvert.WithProtocol(answer.protocol), culvert.WithMethod(culvert.MethodExchange))
	transport := newRigTransport(tb, serveRig(tb, answer, true).URL, opts...)
	resp, err := transport.RoundTrip(newRigRequest(tb, http.MethodGet, "/", nil))
	if err == nil {
		var read []byte
		read, err = io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		body = string(read)
	}
	if tunnelErr, ok := errors.AsType[*culvert.Error](err); ok {
		cause = tunnelErr.Cause
	}
	return body, cause, err
}

// What connect's client would make of an answer, the transport makes of it.
func TestTransportReadsRPCsAsConnectDoes(t *testing.T) {
	passing := connect.WithInterceptors(connect.UnaryInterceptorFunc(func(next connect.UnaryFunc) connect.UnaryFunc { return next }))
	for _, answer := range rawAnswers(t) {
		t.Run(answer.name, func(t *testing.T) {
			wantBody, wantCause, want := readingOf(t, answer, culvert.WithConnectClientOptions(passing))
			body, cause, err := readingOf(t, answer)
			if body != wantBody || cause != wantCause || (err == nil) != (want == nil) {
				t.Errorf("%q, %v: %v\nbut connect's client: %q, %v: %v", body, cause, err, wantBody, wantCause, want)
			}
		})
	}
}
