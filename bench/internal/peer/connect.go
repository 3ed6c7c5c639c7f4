package peer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"

	"connectrpc.com/connect"

	culvertv1 "github.com/culvert-http/culvert/api/culvert/v1"
	"github.com/culvert-http/culvert/api/culvert/v1/culvertv1connect"
	"github.com/culvert-http/culvert/bench/internal/app"
)

// openConnect is connect with nothing behind it: frames go there and back, no
// HTTP is made of them. Nothing compresses.
func openConnect(_ http.Handler, closers *closers) (route, error) {
	pattern, handler := culvertv1connect.NewHTTPServiceHandler(echoService{}, connect.WithCompressMinBytes(1<<30))
	mux := http.NewServeMux()
	mux.Handle(pattern, handler)
	address, err := serveHTTP(mux, closers)
	if err != nil {
		return nil, err
	}
	client := &http.Client{Transport: newH2CTransport(closers)}
	return connectRoute{culvertv1connect.NewHTTPServiceClient(client, "http://"+address,
		connect.WithGRPC(), connect.WithAcceptCompression("gzip", nil, nil))}, nil
}

type echoService struct {
	culvertv1connect.UnimplementedHTTPServiceHandler
}

// Exchange answers each frame with one that is as large.
func (echoService) Exchange(_ context.Context, stream *connect.BidiStream[culvertv1.RequestFrame, culvertv1.ResponseFrame]) error {
	for {
		request, err := stream.Receive()
		if errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if err := stream.Send(&culvertv1.ResponseFrame{Head: echoHead(), Data: []byte(app.Answer), End: request.GetEnd()}); err != nil {
			return err
		}
	}
}

// echoHead has the fields that net/http gives to a small answer.
func echoHead() *culvertv1.ResponseHead {
	return &culvertv1.ResponseHead{Status: http.StatusOK, Headers: []*culvertv1.Field{
		{Name: "Content-Length", Value: "11"},
		{Name: "Content-Type", Value: "text/plain; charset=utf-8"},
		{Name: "Date", Value: "Sun, 22 Nov 2026 19:00:00 GMT"},
	}}
}

type connectRoute struct {
	client culvertv1connect.HTTPServiceClient
}

func (r connectRoute) worker(work app.Work) (Worker, error) {
	return connectWorker{r.client, work}, nil
}

type connectWorker struct {
	client culvertv1connect.HTTPServiceClient
	work   app.Work
}

// Exchange implements Worker: an RPC of one message each way.
func (w connectWorker) Exchange() error {
	stream := w.client.Exchange(context.Background())
	err := stream.Send(&culvertv1.RequestFrame{Head: requestHead(w.work), End: true})
	if err != nil {
		return fmt.Errorf("send: %w", err)
	}
	if err := stream.CloseRequest(); err != nil {
		return fmt.Errorf("close request: %w", err)
	}
	response, err := stream.Receive()
	if err != nil {
		return fmt.Errorf("receive: %w", err)
	}
	if _, err := stream.Receive(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("receive the end: %w", err)
	}
	return errors.Join(compareAnswer(response.GetData()), stream.CloseResponse())
}

// Close implements Worker.
func (connectWorker) Close() error { return nil }

func requestHead(work app.Work) *culvertv1.RequestHead {
	head := &culvertv1.RequestHead{Method: work.Method(), Scheme: "http", Authority: "app.example", Path: work.Path()}
	for _, field := range app.Fields {
		head.Headers = append(head.Headers, &culvertv1.Field{Name: field.Name, Value: field.Value})
	}
	return head
}
