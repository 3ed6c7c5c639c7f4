package culvert

import (
	"context"
	"io"
	"net/http/httptrace"

	culvertv1 "github.com/culvert-http/culvert/api/culvert/v1"
	"github.com/culvert-http/culvert/api/culvert/v1/culvertv1connect"
	"github.com/culvert-http/culvert/internal/bridge"
	"github.com/culvert-http/culvert/internal/wire"
)

// plainStream is an Exchange around connect.
type plainStream struct {
	rpc     *clientRPC
	body    *frameBody
	reader  wire.Reader
	started chan struct{} // closed when a request that streams has its response, or an error
}

func newPlainStream(ctx context.Context, link *clientLink) *plainStream {
	body := newFrameBody()
	return &plainStream{rpc: link.newClientRPC(ctx, culvertv1connect.HTTPServiceExchangeProcedure, body), body: body}
}

// Send implements bridge.ClientStream. A request that is one message is sent by the
// first Receive, on its goroutine. Of one that is not the head is on its way when
// Send returns, whatever becomes of the rest.
func (s *plainStream) Send(frame *culvertv1.RequestFrame) error {
	if err := s.body.add(frame); err != nil || frame.GetHead() == nil || frame.GetEnd() {
		return err
	}
	s.started = make(chan struct{})
	go func() {
		defer close(s.started)
		s.rpc.begin()
		if s.rpc.err != nil {
			_ = s.body.Close()
		}
	}()
	s.body.awaitRead()
	return nil
}

// CloseSend implements bridge.ClientStream.
func (s *plainStream) CloseSend() error {
	s.body.end()
	return nil
}

// Receive implements bridge.ClientStream.
func (s *plainStream) Receive(frame *culvertv1.ResponseFrame) error {
	if s.started != nil {
		<-s.started
	}
	s.reader.Release()
	message, err := s.rpc.receive()
	if err == io.EOF {
		return io.EOF
	}
	if err != nil {
		return s.rpc.link.explain(err)
	}
	if err := s.reader.Response(message, frame); err != nil {
		return &Error{Cause: culvertv1.Cause_CAUSE_MALFORMED_RESPONSE, Err: err}
	}
	return nil
}

// Release implements bridge.Releaser.
func (s *plainStream) Release() { s.reader.Release() }

// Trace implements bridge.TracedStream.
func (s *plainStream) Trace(sent *httptrace.ClientTrace) { s.rpc.call.sent = sent }

// Interrupt implements bridge.ClientStream.
func (s *plainStream) Interrupt() {
	s.rpc.call.interrupt()
	_ = s.body.Close()
}

var (
	_ bridge.Releaser     = (*plainStream)(nil)
	_ bridge.TracedStream = (*plainStream)(nil)
)
