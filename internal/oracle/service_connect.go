package oracle

import (
	"context"
	"errors"
	"io"

	"connectrpc.com/connect"

	culvertv1 "github.com/culvert-http/culvert/api/culvert/v1"
	"github.com/culvert-http/culvert/api/culvert/v1/culvertv1connect"
)

// ConnectService returns a Service of connect-go's client for baseURL.
func ConnectService(client connect.HTTPClient, baseURL string, options ...connect.ClientOption) Service {
	return connectService{culvertv1connect.NewHTTPServiceClient(client, baseURL, options...)}
}

type connectService struct {
	client culvertv1connect.HTTPServiceClient
}

// Call implements Service.
func (s connectService) Call(ctx context.Context, request *culvertv1.HTTPRequest) (*culvertv1.HTTPResponse, error) {
	response, err := s.client.Call(ctx, connect.NewRequest(request))
	if err != nil {
		return nil, err
	}
	return response.Msg, nil
}

// Upload implements Service.
func (s connectService) Upload(ctx context.Context) (UploadStream, error) {
	return connectUpload{s.client.Upload(ctx)}, nil
}

// Download implements Service.
func (s connectService) Download(ctx context.Context, request *culvertv1.RequestFrame) (Stream, error) {
	ctx, cancel := context.WithCancel(ctx)
	stream, err := s.client.Download(ctx, connect.NewRequest(request))
	if err != nil {
		cancel()
		return nil, err
	}
	return connectDownload{stream, cancel}, nil
}

// Exchange implements Service.
func (s connectService) Exchange(ctx context.Context) (Stream, error) {
	ctx, cancel := context.WithCancel(ctx)
	stream := s.client.Exchange(ctx)
	// The end of the context alone does not end a stream whose sides wait.
	context.AfterFunc(ctx, func() { _, _ = stream.CloseRequest(), stream.CloseResponse() })
	return connectExchange{stream, cancel}, nil
}

// Cause implements Service.
func (s connectService) Cause(err error) culvertv1.Cause {
	if rpcErr, ok := errors.AsType[*connect.Error](err); ok {
		for _, detail := range rpcErr.Details() {
			if value, err := detail.Value(); err == nil {
				if tunnelErr, ok := value.(*culvertv1.TunnelError); ok {
					return tunnelErr.GetCause()
				}
			}
		}
	}
	return culvertv1.Cause_CAUSE_UNSPECIFIED
}

type connectUpload struct {
	*connect.ClientStreamForClient[culvertv1.RequestFrame, culvertv1.HTTPResponse]
}

// CloseAndReceive implements UploadStream.
func (s connectUpload) CloseAndReceive() (*culvertv1.HTTPResponse, error) {
	response, err := s.ClientStreamForClient.CloseAndReceive()
	if err != nil {
		return nil, err
	}
	return response.Msg, nil
}

type connectDownload struct {
	stream *connect.ServerStreamForClient[culvertv1.ResponseFrame]
	cancel context.CancelFunc
}

// Send implements Stream.
func (connectDownload) Send(*culvertv1.RequestFrame) error {
	return errors.New("download has no requests to stream")
}

// CloseSend implements Stream.
func (connectDownload) CloseSend() error { return nil }

// Receive implements Stream.
func (s connectDownload) Receive() (*culvertv1.ResponseFrame, error) {
	if s.stream.Receive() {
		return s.stream.Msg(), nil
	}
	if err := s.stream.Err(); err != nil {
		return nil, err
	}
	return nil, io.EOF
}

// Close implements Stream.
func (s connectDownload) Close() {
	s.cancel()
	_ = s.stream.Close()
}

type connectExchange struct {
	*connect.BidiStreamForClient[culvertv1.RequestFrame, culvertv1.ResponseFrame]
	cancel context.CancelFunc
}

// CloseSend implements Stream.
func (s connectExchange) CloseSend() error { return s.CloseRequest() }

// Receive implements Stream.
func (s connectExchange) Receive() (*culvertv1.ResponseFrame, error) {
	frame, err := s.BidiStreamForClient.Receive()
	if errors.Is(err, io.EOF) { // connect wraps it
		err = io.EOF
	}
	return frame, err
}

// Close implements Stream.
func (s connectExchange) Close() {
	s.cancel()
	_, _ = s.CloseRequest(), s.CloseResponse()
}
