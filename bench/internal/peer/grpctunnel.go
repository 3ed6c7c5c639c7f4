package peer

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"

	"google.golang.org/grpc"

	culvertv1 "github.com/culvert-http/culvert/api/culvert/v1"
	"github.com/culvert-http/culvert/api/culvert/v1/culvertv1grpc"
)

// openGRPCTunnel is a tunnel as one would write it on grpc-go in an afternoon: a
// stream for each exchange, the head in the first message, and the body in those
// after it. It has none of the checks and limits that a tunnel needs.
func openGRPCTunnel(app http.Handler, closers *closers) (route, error) {
	conn, err := connectGRPC(func(s *grpc.Server) {
		culvertv1grpc.RegisterHTTPServiceServer(s, &grpcTunnelService{app: app})
	}, closers)
	if err != nil {
		return nil, err
	}
	return httpRoute{"http://app.example", grpcTunnelTransport{culvertv1grpc.NewHTTPServiceClient(conn)}}, nil
}

// grpcTunnelChunk is how much of a body goes in one message, in bytes.
const grpcTunnelChunk = 32 << 10

type (
	grpcClientStream = grpc.BidiStreamingClient[culvertv1.RequestFrame, culvertv1.ResponseFrame]
	grpcServerStream = grpc.BidiStreamingServer[culvertv1.RequestFrame, culvertv1.ResponseFrame]
)

type grpcTunnelTransport struct {
	client culvertv1grpc.HTTPServiceClient
}

// RoundTrip implements http.RoundTripper.
func (t grpcTunnelTransport) RoundTrip(request *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithCancel(request.Context())
	response, err := t.roundTrip(ctx, cancel, request)
	if err != nil {
		cancel()
	}
	return response, err
}

func (t grpcTunnelTransport) roundTrip(ctx context.Context, cancel context.CancelFunc, request *http.Request) (*http.Response, error) {
	stream, err := t.client.Exchange(ctx)
	if err != nil {
		return nil, err
	}
	if err := stream.Send(&culvertv1.RequestFrame{Head: grpcRequestHead(request)}); err != nil {
		return nil, err
	}
	if request.Body == nil {
		err = stream.CloseSend()
	} else {
		go sendGRPCBody(stream, request.Body)
	}
	if err != nil {
		return nil, err
	}
	frame, err := stream.Recv()
	if err != nil {
		return nil, err
	}
	head := frame.GetHead()
	return &http.Response{
		StatusCode:    int(head.GetStatus()),
		Status:        http.StatusText(int(head.GetStatus())),
		Header:        fromFields(head.GetHeaders()),
		ContentLength: -1,
		Request:       request,
		Body: &grpcBody{rest: frame.GetData(), cancel: cancel, receive: func() ([]byte, error) {
			frame, err := stream.Recv()
			return frame.GetData(), err
		}},
	}, nil
}

func grpcRequestHead(request *http.Request) *culvertv1.RequestHead {
	head := &culvertv1.RequestHead{
		Method:    request.Method,
		Scheme:    request.URL.Scheme,
		Authority: request.URL.Host,
		Path:      request.URL.RequestURI(),
		Headers:   toFields(request.Header),
	}
	if request.ContentLength > 0 {
		length := strconv.FormatInt(request.ContentLength, 10)
		head.Headers = append(head.Headers, &culvertv1.Field{Name: "Content-Length", Value: length})
	}
	return head
}

// sendGRPCBody sends a request's body. What fails shows where the response is
// received.
func sendGRPCBody(stream grpcClientStream, body io.ReadCloser) {
	defer body.Close()
	buffer := make([]byte, grpcTunnelChunk)
	for {
		n, err := body.Read(buffer)
		if n > 0 {
			if stream.Send(&culvertv1.RequestFrame{Data: buffer[:n]}) != nil {
				return
			}
		}
		if err != nil {
			_ = stream.CloseSend()
			return
		}
	}
}

// grpcBody reads what messages bring.
type grpcBody struct {
	rest    []byte
	receive func() ([]byte, error)
	cancel  context.CancelFunc
}

// Read implements io.Reader.
func (b *grpcBody) Read(p []byte) (int, error) {
	for len(b.rest) == 0 {
		var err error
		if b.rest, err = b.receive(); err != nil {
			return 0, err
		}
	}
	n := copy(p, b.rest)
	b.rest = b.rest[n:]
	return n, nil
}

// Close implements io.Closer.
func (b *grpcBody) Close() error {
	b.cancel()
	return nil
}

func toFields(header http.Header) []*culvertv1.Field {
	fields := make([]*culvertv1.Field, 0, len(header))
	for name, values := range header {
		for _, value := range values {
			fields = append(fields, &culvertv1.Field{Name: name, Value: value})
		}
	}
	return fields
}

func fromFields(fields []*culvertv1.Field) http.Header {
	header := make(http.Header, len(fields))
	for _, field := range fields {
		header.Add(field.GetName(), field.GetValue())
	}
	return header
}

type grpcTunnelService struct {
	culvertv1grpc.UnimplementedHTTPServiceServer
	app http.Handler
}

// Exchange implements culvertv1grpc.HTTPServiceServer.
func (s *grpcTunnelService) Exchange(stream grpcServerStream) error {
	frame, err := stream.Recv()
	if err != nil {
		return err
	}
	head := frame.GetHead()
	body := &grpcBody{cancel: func() {}, receive: func() ([]byte, error) {
		frame, err := stream.Recv()
		return frame.GetData(), err
	}}
	request, err := http.NewRequestWithContext(stream.Context(), head.GetMethod(), head.GetPath(), body)
	if err != nil {
		return err
	}
	request.Host = head.GetAuthority()
	request.Header = fromFields(head.GetHeaders())
	if length := request.Header.Get("Content-Length"); length != "" {
		if request.ContentLength, err = strconv.ParseInt(length, 10, 64); err != nil {
			return err
		}
	}
	w := &grpcWriter{stream: stream, header: make(http.Header)}
	s.app.ServeHTTP(w, request)
	return w.end()
}

// grpcWriter is a response that goes in messages of a chunk.
type grpcWriter struct {
	stream  grpcServerStream
	header  http.Header
	head    *culvertv1.ResponseHead // until it is sent
	begun   bool
	pending []byte
	err     error
}

// Header implements http.ResponseWriter.
func (w *grpcWriter) Header() http.Header { return w.header }

// WriteHeader implements http.ResponseWriter.
func (w *grpcWriter) WriteHeader(status int) {
	if !w.begun {
		w.begun = true
		w.head = &culvertv1.ResponseHead{Status: uint32(status), Headers: toFields(w.header)}
	}
}

// Write implements http.ResponseWriter.
func (w *grpcWriter) Write(p []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	w.pending = append(w.pending, p...)
	if len(w.pending) >= grpcTunnelChunk {
		_ = w.FlushError() // kept in err
	}
	return len(p), w.err
}

// FlushError implements what http.ResponseController looks for.
func (w *grpcWriter) FlushError() error {
	w.WriteHeader(http.StatusOK)
	if w.head != nil || len(w.pending) > 0 {
		w.err = errors.Join(w.err, w.stream.Send(&culvertv1.ResponseFrame{Head: w.head, Data: w.pending}))
		w.head, w.pending = nil, w.pending[:0]
	}
	return w.err
}

func (w *grpcWriter) end() error { return w.FlushError() }
