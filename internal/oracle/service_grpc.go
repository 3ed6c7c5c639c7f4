package oracle

import (
	"context"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	culvertv1 "github.com/culvert-http/culvert/api/culvert/v1"
	"github.com/culvert-http/culvert/api/culvert/v1/culvertv1grpc"
)

// GRPCService returns a Service of grpc-go's client for the server at addr. Its
// connection is closed when the test is over.
func GRPCService(tb testing.TB, addr string) Service {
	tb.Helper()
	conn, err := grpc.NewClient("passthrough:///"+addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		tb.Fatalf("make a client of grpc-go: %v", err)
	}
	tb.Cleanup(func() { _ = conn.Close() })
	return grpcService{culvertv1grpc.NewHTTPServiceClient(conn)}
}

type grpcService struct {
	client culvertv1grpc.HTTPServiceClient
}

// Call implements Service.
func (s grpcService) Call(ctx context.Context, request *culvertv1.HTTPRequest) (*culvertv1.HTTPResponse, error) {
	return s.client.Call(ctx, request)
}

// Upload implements Service.
func (s grpcService) Upload(ctx context.Context) (UploadStream, error) {
	stream, err := s.client.Upload(ctx)
	if err != nil {
		return nil, err
	}
	return grpcUpload{stream}, nil
}

// Download implements Service.
func (s grpcService) Download(ctx context.Context, request *culvertv1.RequestFrame) (Stream, error) {
	ctx, cancel := context.WithCancel(ctx)
	stream, err := s.client.Download(ctx, request)
	if err != nil {
		cancel()
		return nil, err
	}
	return grpcDownload{stream, cancel}, nil
}

// Exchange implements Service.
func (s grpcService) Exchange(ctx context.Context) (Stream, error) {
	ctx, cancel := context.WithCancel(ctx)
	stream, err := s.client.Exchange(ctx)
	if err != nil {
		cancel()
		return nil, err
	}
	return grpcExchange{stream, cancel}, nil
}

// Cause implements Service.
func (s grpcService) Cause(err error) culvertv1.Cause {
	for _, detail := range status.Convert(err).Details() {
		if tunnelErr, ok := detail.(*culvertv1.TunnelError); ok {
			return tunnelErr.GetCause()
		}
	}
	return culvertv1.Cause_CAUSE_UNSPECIFIED
}

type grpcUpload struct {
	grpc.ClientStreamingClient[culvertv1.RequestFrame, culvertv1.HTTPResponse]
}

// CloseAndReceive implements UploadStream.
func (s grpcUpload) CloseAndReceive() (*culvertv1.HTTPResponse, error) { return s.CloseAndRecv() }

type grpcDownload struct {
	grpc.ServerStreamingClient[culvertv1.ResponseFrame]
	cancel context.CancelFunc
}

// Send implements Stream.
func (s grpcDownload) Send(frame *culvertv1.RequestFrame) error { return s.SendMsg(frame) }

// Receive implements Stream.
func (s grpcDownload) Receive() (*culvertv1.ResponseFrame, error) { return s.Recv() }

// Close implements Stream.
func (s grpcDownload) Close() { s.cancel() }

type grpcExchange struct {
	grpc.BidiStreamingClient[culvertv1.RequestFrame, culvertv1.ResponseFrame]
	cancel context.CancelFunc
}

// Receive implements Stream.
func (s grpcExchange) Receive() (*culvertv1.ResponseFrame, error) { return s.Recv() }

// Close implements Stream.
func (s grpcExchange) Close() { s.cancel() }
