package culvert_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"slices"
	"testing"

	"connectrpc.com/connect"

	"github.com/culvert-http/culvert"
	culvertv1 "github.com/culvert-http/culvert/api/culvert/v1"
	"github.com/culvert-http/culvert/api/culvert/v1/culvertv1connect"
)

// The shapes of exchanges that are measured: bytes of the request's body and of
// the response's.
var benchShapes = []struct {
	name     string
	up, down int
}{
	{"small", 0, 64},
	{"down1MiB", 0, 1 << 20},
	{"up1MiB", 1 << 20, 64},
}

// benchChunk is how much of a body a client sends in one frame.
const benchChunk = 64 << 10

// BenchmarkDirect is the sibling without a tunnel: the same handler, called by
// net/http's client over h2c.
func BenchmarkDirect(b *testing.B) {
	forEachShape(b, func(b *testing.B, up, down int) func() error {
		server := newBenchServer(b, benchHandler(down))
		body := make([]byte, up)
		return func() error {
			request, err := http.NewRequest(http.MethodPost, server.url+"/", bytes.NewReader(body))
			if err != nil {
				return err
			}
			response, err := server.client.Do(request)
			if err != nil {
				return err
			}
			defer response.Body.Close()
			return expectBytes(response.Body, down)
		}
	})
}

// BenchmarkBareConnect is the sibling with the same messages and without a
// bridge: the handler of the RPC takes frames, and answers with frames.
func BenchmarkBareConnect(b *testing.B) {
	forEachProtocol(b, func(b *testing.B, up, down int, opts ...connect.ClientOption) func() error {
		_, handler := culvertv1connect.NewHTTPServiceHandler(bareService{down: down},
			connect.WithCompressMinBytes(1<<30))
		server := newBenchServer(b, handler)
		client := culvertv1connect.NewHTTPServiceClient(server.client, server.url, opts...)
		return func() error { return exchange(client, up, down) }
	})
}

func BenchmarkExchange(b *testing.B) {
	benchTunnel(b, exchange)
}

func BenchmarkCall(b *testing.B) {
	benchTunnel(b, func(client culvertv1connect.HTTPServiceClient, up, down int) error {
		request := connect.NewRequest(&culvertv1.HTTPRequest{Method: http.MethodPost, Path: "/", Body: benchBody[:up]})
		response, err := client.Call(context.Background(), request)
		if err != nil {
			return err
		}
		return expectLength(len(response.Msg.GetBody()), down)
	})
}

func BenchmarkUpload(b *testing.B) {
	benchTunnel(b, func(client culvertv1connect.HTTPServiceClient, up, down int) error {
		stream := client.Upload(context.Background())
		if err := sendRequest(stream.Send, up); err != nil {
			return err
		}
		response, err := stream.CloseAndReceive()
		if err != nil {
			return err
		}
		return expectLength(len(response.Msg.GetBody()), down)
	})
}

func BenchmarkDownload(b *testing.B) {
	benchTunnel(b, func(client culvertv1connect.HTTPServiceClient, up, down int) error {
		stream, err := client.Download(context.Background(), connect.NewRequest(&culvertv1.RequestFrame{
			Head: benchHead, Data: benchBody[:up], End: true,
		}))
		if err != nil {
			return err
		}
		defer stream.Close()
		received := 0
		for stream.Receive() {
			received += len(stream.Msg().GetData())
		}
		return errors.Join(stream.Err(), expectLength(received, down))
	})
}

// benchTunnel measures exchanges through a culvert.Handler.
func benchTunnel(b *testing.B, run func(client culvertv1connect.HTTPServiceClient, up, down int) error) {
	forEachProtocol(b, func(b *testing.B, up, down int, opts ...connect.ClientOption) func() error {
		_, handler := culvert.NewHandler(benchHandler(down))
		server := newBenchServer(b, handler)
		client := culvertv1connect.NewHTTPServiceClient(server.client, server.url, opts...)
		return func() error { return run(client, up, down) }
	})
}

// benchHead has two fields, as a small request of a program has.
var benchHead = &culvertv1.RequestHead{
	Method: http.MethodPost,
	Path:   "/",
	Headers: []*culvertv1.Field{
		{Name: "User-Agent", Value: "bench"},
		{Name: "Accept", Value: "*/*"},
	},
}

var benchBody = make([]byte, 1<<20)

// exchange makes one bidi RPC, the same for the tunnel and for its sibling.
func exchange(client culvertv1connect.HTTPServiceClient, up, down int) error {
	stream := client.Exchange(context.Background())
	if err := sendRequest(stream.Send, up); err != nil {
		return err
	}
	if err := stream.CloseRequest(); err != nil {
		return err
	}
	defer func() { _ = stream.CloseResponse() }()
	received := 0
	for {
		frame, err := stream.Receive()
		if errors.Is(err, io.EOF) {
			return expectLength(received, down)
		} else if err != nil {
			return err
		}
		received += len(frame.GetData())
	}
}

// sendRequest sends a request in frames, the last one with the end.
func sendRequest(send func(*culvertv1.RequestFrame) error, up int) error {
	frame := &culvertv1.RequestFrame{Head: benchHead}
	for {
		frame.Data = benchBody[:min(up, benchChunk)]
		up -= len(frame.Data)
		frame.End = up == 0
		if err := send(frame); err != nil || frame.End {
			return err
		}
		frame = &culvertv1.RequestFrame{}
	}
}

// benchHandler reads the request and answers with down bytes.
func benchHandler(down int) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			panic(err)
		}
		for left := down; left > 0; {
			n, err := w.Write(benchBody[:min(left, benchChunk)])
			if err != nil {
				return
			}
			left -= n
		}
	}
}

// bareService does with frames what benchHandler does with HTTP.
type bareService struct {
	culvertv1connect.UnimplementedHTTPServiceHandler
	down int
}

// Exchange implements culvertv1connect.HTTPServiceHandler.
func (s bareService) Exchange(_ context.Context, stream *connect.BidiStream[culvertv1.RequestFrame, culvertv1.ResponseFrame]) error {
	for {
		if _, err := stream.Receive(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return err
		}
	}
	frame := &culvertv1.ResponseFrame{Head: &culvertv1.ResponseHead{
		Status: http.StatusOK,
		Headers: []*culvertv1.Field{
			{Name: "Content-Type", Value: "application/octet-stream"},
			{Name: "Date", Value: "Sun, 22 Nov 2026 19:00:00 GMT"},
			{Name: "Content-Length", Value: "64"},
		},
	}}
	for left := s.down; ; {
		frame.Data = benchBody[:min(left, benchChunk)]
		left -= len(frame.Data)
		frame.End = left == 0
		if err := stream.Send(frame); err != nil || frame.End {
			return err
		}
		frame = &culvertv1.ResponseFrame{}
	}
}

// benchServer is a server for h2c and a client of it, on which nothing
// compresses.
type benchServer struct {
	url    string
	client *http.Client
}

func newBenchServer(b *testing.B, handler http.Handler) *benchServer {
	b.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	server := &http.Server{Handler: handler, Protocols: new(http.Protocols), HTTP2: benchWindows}
	server.Protocols.SetUnencryptedHTTP2(true)
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = server.Serve(culvert.Guard(server, listener))
	}()
	client := newRPCClient(true)
	b.Cleanup(func() {
		client.CloseIdleConnections()
		_ = server.Close()
		<-served
	})
	return &benchServer{url: "http://" + listener.Addr().String(), client: client}
}

var benchWindows = &http.HTTP2Config{
	MaxConcurrentStreams:          1000,
	MaxReceiveBufferPerStream:     4 << 20,
	MaxReceiveBufferPerConnection: 64 << 20,
}

// forEachProtocol measures what setup returns in every protocol and shape.
func forEachProtocol(b *testing.B, setup func(b *testing.B, up, down int, opts ...connect.ClientOption) func() error) {
	for _, protocol := range []struct {
		name string
		opts []connect.ClientOption
	}{
		{"grpc", []connect.ClientOption{connect.WithGRPC()}},
		{"grpcweb", []connect.ClientOption{connect.WithGRPCWeb()}},
		{"connect", nil},
	} {
		opts := append(slices.Clip(protocol.opts), connect.WithAcceptCompression("gzip", nil, nil))
		b.Run(protocol.name, func(b *testing.B) {
			forEachShape(b, func(b *testing.B, up, down int) func() error { return setup(b, up, down, opts...) })
		})
	}
}

// forEachShape measures what setup returns in every shape, one at a time and 64
// at once.
func forEachShape(b *testing.B, setup func(b *testing.B, up, down int) func() error) {
	for _, shape := range benchShapes {
		for _, inFlight := range []int{1, 64} {
			b.Run(fmt.Sprintf("%s/%d", shape.name, inFlight), func(b *testing.B) {
				run := setup(b, shape.up, shape.down)
				b.ReportAllocs()
				b.SetBytes(int64(shape.up + shape.down))
				if inFlight == 1 {
					for b.Loop() {
						if err := run(); err != nil {
							b.Fatal(err)
						}
					}
					return
				}
				b.SetParallelism(inFlight / runtime.GOMAXPROCS(0))
				b.RunParallel(func(pb *testing.PB) {
					for pb.Next() {
						if err := run(); err != nil {
							b.Error(err)
							return
						}
					}
				})
			})
		}
	}
}

func expectBytes(r io.Reader, n int) error {
	got, err := io.Copy(io.Discard, r)
	return errors.Join(err, expectLength(int(got), n))
}

func expectLength(got, want int) error {
	if got != want {
		return fmt.Errorf("got %d bytes, want %d", got, want)
	}
	return nil
}
