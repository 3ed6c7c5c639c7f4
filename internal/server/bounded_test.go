package server

import (
	"errors"
	"io"
	"net/http"
	"sync/atomic"
	"testing"

	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	reflectionpb "google.golang.org/grpc/reflection/grpc_reflection_v1"
)

// TestEndlessBodyIsNotRead sends a body without an end, which connect by itself
// drains for as long as it comes.
func TestEndlessBodyIsNotRead(t *testing.T) {
	_, addr := start(t, tunnelConfig(http.NotFoundHandler()), anyPort)
	for _, http2 := range []bool{false, true} {
		body := &endless{}
		req, err := http.NewRequestWithContext(testContext(t), http.MethodPost,
			"http://"+addr+healthpb.Health_Check_FullMethodName, body)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		resp, err := newClient(t, http2).Do(req)
		// Over HTTP/1.1 the answer may be lost with the connection.
		if err == nil {
			if resp.StatusCode == http.StatusOK {
				t.Errorf("HTTP/2 %v: status 200", http2)
			}
			resp.Body.Close()
		}
		if req.Context().Err() != nil {
			t.Errorf("HTTP/2 %v: still sending after %d bytes", http2, body.read.Load())
		}
	}
}

type endless struct{ read atomic.Int64 }

func (e *endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	e.read.Add(int64(len(p)))
	return len(p), nil
}

func (e *endless) Close() error { return nil }

var _ io.ReadCloser = (*endless)(nil)

func TestShutdownEndsAnIdleReflectionStream(t *testing.T) {
	srv, addr := start(t, tunnelConfig(http.NotFoundHandler()), anyPort)
	stream, err := reflectionpb.NewServerReflectionClient(dialGRPC(t, addr)).ServerReflectionInfo(testContext(t))
	if err != nil {
		t.Fatal(err)
	}
	// One answer, so that the server's handler runs and waits for the next question.
	if err := stream.Send(&reflectionpb.ServerReflectionRequest{
		MessageRequest: &reflectionpb.ServerReflectionRequest_ListServices{},
	}); err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Recv(); err != nil {
		t.Fatal(err)
	}
	if err := srv.Shutdown(testContext(t)); err != nil {
		t.Errorf("Shutdown() = %v: the stream was waited for", err)
	}
	if _, err := stream.Recv(); err == nil || errors.Is(err, io.EOF) {
		t.Errorf("Recv() after Shutdown = %v, want an error", err)
	}
}
