package culvert_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/textproto"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"go.uber.org/goleak"
	"google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/culvert-http/culvert"
	culvertv1 "github.com/culvert-http/culvert/api/culvert/v1"
)

// tunnel is a culvert.Handler behind a real server, which speaks HTTP/1.1 and
// h2c, and a client for each.
type tunnel struct {
	url     string
	handler *culvert.Handler
	h1, h2  *http.Client
}

// newTunnel serves inner through the tunnel until the test ends, and then checks
// that nothing is left running.
func newTunnel(tb testing.TB, inner http.Handler, opts ...culvert.HandlerOption) *tunnel {
	tb.Helper()
	running := goleak.IgnoreCurrent()
	tb.Cleanup(func() { goleak.VerifyNone(tb, running, lingering) })
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	mux := http.NewServeMux()
	pattern, handler := culvert.NewHandler(inner, opts...)
	mux.Handle(pattern, handler)
	server := &http.Server{
		Handler:   mux,
		Protocols: new(http.Protocols),
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams:          2 * culvert.DefaultMaxExchangesPerConn,
			MaxReceiveBufferPerStream:     4 << 20,
			MaxReceiveBufferPerConnection: 64 << 20,
		},
	}
	server.Protocols.SetHTTP1(true)
	server.Protocols.SetUnencryptedHTTP2(true)
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = server.Serve(culvert.Guard(server, listener))
	}()
	t := &tunnel{
		url:     "http://" + listener.Addr().String(),
		handler: handler,
		h1:      newRPCClient(false),
		h2:      newRPCClient(true),
	}
	tb.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := handler.Shutdown(ctx); err != nil {
			tb.Errorf("an exchange still runs: %v", err)
		}
		t.h1.CloseIdleConnections()
		t.h2.CloseIdleConnections()
		_ = server.Close()
		<-served
	})
	return t
}

// newRPCClient returns a client for one version of HTTP alone.
func newRPCClient(http2 bool) *http.Client {
	transport := &http.Transport{
		Protocols:          new(http.Protocols),
		DisableCompression: true,
		HTTP2: &http.HTTP2Config{
			MaxReceiveBufferPerStream:     4 << 20,
			MaxReceiveBufferPerConnection: 64 << 20,
		},
	}
	transport.Protocols.SetHTTP1(!http2)
	transport.Protocols.SetUnencryptedHTTP2(http2)
	return &http.Client{Transport: transport}
}

// rpcWire is one way to put an RPC on the wire.
type rpcWire struct {
	protocol string // as connect names it
	codec    string
	http2    bool
}

func (w rpcWire) String() string {
	version := "h1"
	if w.http2 {
		version = "h2"
	}
	return w.protocol + "+" + w.codec + "/" + version
}

// rpcWires are all ways, but for gRPC over HTTP/1.1, which there is not.
var rpcWires = []rpcWire{
	{connect.ProtocolGRPC, "proto", true},
	{connect.ProtocolGRPC, "json", true},
	{connect.ProtocolGRPCWeb, "proto", true},
	{connect.ProtocolGRPCWeb, "proto", false},
	{connect.ProtocolConnect, "proto", true},
	{connect.ProtocolConnect, "proto", false},
	{connect.ProtocolConnect, "json", true},
	{connect.ProtocolConnect, "json", false},
}

// carries reports whether a method can be called in this way.
func (w rpcWire) carries(method string) bool { return w.http2 || method != "Exchange" }

// enveloped reports whether the messages of a method are prefixed with their
// lengths.
func (w rpcWire) enveloped(method string) bool {
	return w.protocol != connect.ProtocolConnect || method != "Call"
}

func (w rpcWire) contentType(method string) string {
	switch {
	case w.protocol == connect.ProtocolGRPC:
		return "application/grpc+" + w.codec
	case w.protocol == connect.ProtocolGRPCWeb:
		return "application/grpc-web+" + w.codec
	case w.enveloped(method):
		return "application/connect+" + w.codec
	default:
		return "application/" + w.codec
	}
}

// marshal returns the bytes of a message.
func (w rpcWire) marshal(tb testing.TB, message proto.Message) []byte {
	tb.Helper()
	if w.codec == "json" {
		return marshalJSON(tb, message)
	}
	data, err := proto.Marshal(message)
	if err != nil {
		tb.Fatal(err)
	}
	return data
}

// body returns the whole body of an RPC with the messages.
func (w rpcWire) body(tb testing.TB, method string, messages ...proto.Message) []byte {
	tb.Helper()
	var body []byte
	for _, message := range messages {
		data := w.marshal(tb, message)
		if w.enveloped(method) {
			data = envelope(0, data)
		}
		body = append(body, data...)
	}
	return body
}

// envelope returns a message with its prefix.
func envelope(flags byte, message []byte) []byte {
	prefixed := binary.BigEndian.AppendUint32([]byte{flags}, uint32(len(message)))
	return append(prefixed, message...)
}

func gzipped(tb testing.TB, data []byte) []byte {
	tb.Helper()
	var compressed bytes.Buffer
	w := gzip.NewWriter(&compressed)
	if _, err := w.Write(data); err != nil {
		tb.Fatal(err)
	}
	if err := w.Close(); err != nil {
		tb.Fatal(err)
	}
	return compressed.Bytes()
}

// outcome is how an RPC ended.
type outcome struct {
	httpStatus int
	code       connect.Code // 0 is OK
	message    string
	cause      culvertv1.Cause
	notStarted bool
	hasDetail  bool
	messages   [][]byte
}

func (o outcome) String() string {
	return fmt.Sprintf("HTTP %d, code %v, %v, not started %t, %q, %d messages",
		o.httpStatus, o.code, o.cause, o.notStarted, o.message, len(o.messages))
}

// call makes an RPC of raw bytes, and reads its answer without the help of an
// RPC library: what it sends need not be valid.
func (t *tunnel) call(tb testing.TB, w rpcWire, method string, body io.Reader, header ...string) outcome {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	return t.callContext(ctx, tb, w, method, body, header...)
}

func (t *tunnel) callContext(ctx context.Context, tb testing.TB, w rpcWire, method string, body io.Reader, header ...string) outcome {
	tb.Helper()
	url := t.url + "/" + culvert.ServiceName + "/" + method
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, body)
	if err != nil {
		tb.Fatal(err)
	}
	request.Header.Set("Content-Type", w.contentType(method))
	if w.protocol == connect.ProtocolGRPC {
		request.Header.Set("Te", "trailers")
	}
	for i := 0; i < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	client := t.h1
	if w.http2 {
		client = t.h2
	}
	response, err := client.Do(request)
	if err != nil {
		tb.Fatalf("%s: %v", method, err)
	}
	defer response.Body.Close()
	read, err := io.ReadAll(response.Body)
	if err != nil {
		tb.Fatalf("%s: read the answer: %v", method, err)
	}
	return w.outcome(tb, method, response, read)
}

func (w rpcWire) outcome(tb testing.TB, method string, response *http.Response, body []byte) outcome {
	tb.Helper()
	o := outcome{httpStatus: response.StatusCode}
	if !w.enveloped(method) {
		if response.StatusCode == http.StatusOK {
			o.messages = [][]byte{body}
			return o
		}
		o.readConnectError(tb, body)
		return o
	}
	trailer := response.Trailer
	if response.Header.Get("Grpc-Status") != "" {
		trailer = response.Header
	}
	for len(body) > 0 {
		if len(body) < 5 || len(body)-5 < int(binary.BigEndian.Uint32(body[1:])) {
			tb.Fatalf("the answer ends inside a message: %q", body)
		}
		flags, message := body[0], body[5:5+binary.BigEndian.Uint32(body[1:])]
		body = body[5+len(message):]
		switch {
		case flags == 0:
			o.messages = append(o.messages, message)
		case flags == 0x80 && w.protocol == connect.ProtocolGRPCWeb:
			trailer = readTrailerFrame(tb, message)
		case flags == 0x02 && w.protocol == connect.ProtocolConnect:
			o.readEndStream(tb, message)
			return o
		default:
			tb.Fatalf("a message with the flags %#x", flags)
		}
	}
	if w.protocol == connect.ProtocolConnect {
		tb.Fatalf("the answer has no end-stream message: HTTP %d", response.StatusCode)
	}
	o.readGRPCTrailer(tb, trailer)
	return o
}

func readTrailerFrame(tb testing.TB, block []byte) http.Header {
	tb.Helper()
	reader := textproto.NewReader(bufio.NewReader(io.MultiReader(bytes.NewReader(block), strings.NewReader("\r\n"))))
	header, err := reader.ReadMIMEHeader()
	if err != nil {
		tb.Fatalf("trailers of gRPC-Web %q: %v", block, err)
	}
	return http.Header(header)
}

type connectError struct {
	Code    string `json:"code"`
	Message string `json:"message"`
	Details []struct{ Type, Value string }
}

func (o *outcome) readEndStream(tb testing.TB, message []byte) {
	tb.Helper()
	var end struct{ Error json.RawMessage }
	if err := json.Unmarshal(message, &end); err != nil {
		tb.Fatalf("end of stream %q: %v", message, err)
	}
	if end.Error != nil {
		o.readConnectError(tb, end.Error)
	}
}

func (o *outcome) readConnectError(tb testing.TB, body []byte) {
	tb.Helper()
	var wire connectError
	if err := json.Unmarshal(body, &wire); err != nil {
		o.code, o.message = connect.CodeUnknown, string(body) // connect answers 405 and 415 so
		return
	}
	if err := o.code.UnmarshalText([]byte(wire.Code)); err != nil {
		tb.Fatalf("code %q: %v", wire.Code, err)
	}
	o.message = wire.Message
	for _, detail := range wire.Details {
		value, err := base64.RawStdEncoding.DecodeString(detail.Value)
		if err != nil {
			tb.Fatalf("detail %q: %v", detail.Value, err)
		}
		o.readDetail(tb, detail.Type, value)
	}
}

func (o *outcome) readGRPCTrailer(tb testing.TB, trailer http.Header) {
	tb.Helper()
	code, err := strconv.Atoi(trailer.Get("Grpc-Status"))
	if err != nil {
		tb.Fatalf("HTTP %d without grpc-status: %v", o.httpStatus, trailer)
	}
	o.code = connect.Code(code)
	if o.message, err = url.PathUnescape(trailer.Get("Grpc-Message")); err != nil {
		tb.Fatalf("grpc-message %q: %v", trailer.Get("Grpc-Message"), err)
	}
	if trailer.Get("Grpc-Status-Details-Bin") == "" {
		return
	}
	encoded := strings.TrimRight(trailer.Get("Grpc-Status-Details-Bin"), "=")
	binary, err := base64.RawStdEncoding.DecodeString(encoded)
	if err != nil {
		tb.Fatalf("details %q: %v", encoded, err)
	}
	var details status.Status
	if err := proto.Unmarshal(binary, &details); err != nil {
		tb.Fatal(err)
	}
	if int(details.GetCode()) != code {
		tb.Errorf("grpc-status is %d, the code in its details %d", code, details.GetCode())
	}
	for _, detail := range details.GetDetails() {
		o.readDetail(tb, strings.TrimPrefix(detail.GetTypeUrl(), "type.googleapis.com/"), detail.GetValue())
	}
}

func (o *outcome) readDetail(tb testing.TB, name string, value []byte) {
	tb.Helper()
	if name != "culvert.v1.TunnelError" || o.hasDetail {
		tb.Errorf("an unexpected detail of type %s", name)
		return
	}
	var detail culvertv1.TunnelError
	if err := proto.Unmarshal(value, &detail); err != nil {
		tb.Fatal(err)
	}
	o.cause, o.notStarted, o.hasDetail = detail.GetCause(), detail.GetNotStarted(), true
}
