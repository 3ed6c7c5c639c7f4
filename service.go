package culvert

import (
	"context"
	"strings"

	"connectrpc.com/connect"

	culvertv1 "github.com/culvert-http/culvert/api/culvert/v1"
	"github.com/culvert-http/culvert/internal/bridge"
	"github.com/culvert-http/culvert/internal/wire"
)

// service implements the generated interface. It holds nothing: what a call
// needs is in its context.
type service struct{}

// Call implements culvertv1connect.HTTPServiceHandler.
func (service) Call(
	ctx context.Context, request *connect.Request[culvertv1.HTTPRequest],
) (*connect.Response[culvertv1.HTTPResponse], error) {
	call := rpcOf(ctx)
	if err := unmarshalError(request.Msg); err != nil {
		return nil, call.refuse(err)
	}
	frame, err := bridge.FrameOf(request.Msg)
	if err != nil {
		return nil, call.refuse(fromReceive(err))
	}
	collected := bridge.NewWholeResponse(call.handler.config.maxBodyBytes)
	stream := struct {
		*bridge.WholeRequest
		*bridge.WholeResponse
	}{bridge.NewWholeRequest(frame), collected}
	if err := call.serve(ctx, request.Peer(), stream, bridge.Origin{Whole: true}); err != nil {
		return nil, err
	}
	call.hold()
	asText := request.Msg.GetAcceptText() || typedByHand(request)
	return connect.NewResponse(collected.Response(asText)), nil
}

// typedByHand reports whether a call is plain JSON, as curl sends it, and not
// that of a generated client.
func typedByHand(request connect.AnyRequest) bool {
	header := request.Header()
	return request.Peer().Protocol == connect.ProtocolConnect &&
		header.Get("Connect-Protocol-Version") == "" &&
		strings.HasPrefix(header.Get("Content-Type"), "application/json")
}

// Upload implements culvertv1connect.HTTPServiceHandler.
func (service) Upload(
	ctx context.Context, requests *connect.ClientStream[culvertv1.RequestFrame],
) (*connect.Response[culvertv1.HTTPResponse], error) {
	call := rpcOf(ctx)
	collected := bridge.NewWholeResponse(call.handler.config.maxBodyBytes)
	stream := struct {
		*receiver
		*bridge.WholeResponse
	}{newReceiver(requests.Conn(), call), collected}
	defer stream.release()
	if err := call.serve(ctx, requests.Peer(), stream, bridge.Origin{}); err != nil {
		return nil, err
	}
	call.hold()
	return connect.NewResponse(collected.Response(false)), nil
}

// Download implements culvertv1connect.HTTPServiceHandler.
func (service) Download(
	ctx context.Context, request *connect.Request[culvertv1.RequestFrame],
	responses *connect.ServerStream[culvertv1.ResponseFrame],
) error {
	call := rpcOf(ctx)
	if err := unmarshalError(request.Msg); err != nil {
		return call.refuse(err)
	}
	stream := struct {
		*bridge.WholeRequest
		sender
	}{bridge.NewWholeRequest(request.Msg), sender{responses.Conn(), call}}
	return call.serve(ctx, request.Peer(), stream, bridge.Origin{Whole: true})
}

// Exchange implements culvertv1connect.HTTPServiceHandler.
func (service) Exchange(
	ctx context.Context, frames *connect.BidiStream[culvertv1.RequestFrame, culvertv1.ResponseFrame],
) error {
	call := rpcOf(ctx)
	stream := struct {
		*receiver
		sender
	}{newReceiver(frames.Conn(), call), sender{frames.Conn(), call}}
	defer stream.release()
	return call.serve(ctx, frames.Peer(), stream, bridge.Origin{Streaming: true})
}

// receiver adapts the receiving side of a connect stream to the bridge.
type receiver struct {
	conn    connect.StreamingHandlerConn
	call    *rpc
	message requestMessage
}

// requestMessage is a frame that is received, and what reads it. To connect and to
// interceptors it is the frame.
type requestMessage struct {
	*culvertv1.RequestFrame

	reader wire.Reader
	data   bodyBuffer
}

func newReceiver(conn connect.StreamingHandlerConn, call *rpc) *receiver {
	return &receiver{conn: conn, call: call}
}

// Receive implements bridge.ServerStream.
func (r *receiver) Receive(frame *culvertv1.RequestFrame) error {
	frame.Reset() // connect does not touch a message whose bytes are none
	r.release()
	r.message.RequestFrame = frame
	if err := r.conn.Receive(&r.message); err != nil {
		return receiveError(err)
	}
	if err := unmarshalError(frame); err != nil {
		return err
	}
	if frame.GetEnd() {
		r.call.readOn()
	}
	return nil
}

// Release implements bridge.Releaser.
func (r *receiver) Release() { r.message.reader.Release() }

// release lets go of what the last frame holds.
func (r *receiver) release() {
	r.message.reader.Release()
	r.message.data.release()
}

// InterruptReceive implements bridge.ServerStream.
func (r *receiver) InterruptReceive() { r.call.InterruptReceive() }

// sender adapts the sending side of a connect stream to the bridge, or of an RPC
// around connect, which has no conn.
type sender struct {
	conn connect.StreamingHandlerConn
	call *rpc
}

func (s sender) Send(frame *culvertv1.ResponseFrame) error {
	err := s.send(frame)
	if err != nil && s.call.stalled() {
		return stalledFor(s.call.handler.config.stallTimeout)
	}
	return err
}

// SendInPlace implements bridge.BulkSender. It goes around connect, which would
// copy the message, and write its prefix by itself. The head has been written by
// then.
func (s sender) SendInPlace(frame *culvertv1.ResponseFrame, message []byte) error {
	var room [bridge.BulkHeadroom]byte
	meta := wire.AppendResponseMeta(room[:0], frame, len(frame.GetData()))
	begin := bridge.BulkHeadroom - len(meta) - envelopePrefix
	if begin < 0 || !isPlain(s.call) {
		return s.Send(frame)
	}
	message = message[begin:]
	copy(message[envelopePrefix:], meta)
	sealEnvelope(message, 0)
	err := writeOut(s.call, message)
	if err != nil && s.call.stalled() {
		return stalledFor(s.call.handler.config.stallTimeout)
	}
	return err
}

func (s sender) send(frame *culvertv1.ResponseFrame) error {
	if s.conn == nil {
		return s.call.write(frame)
	}
	return s.conn.Send(frame)
}

func (s sender) InterruptSend() { s.call.InterruptSend() }

// SendLast implements bridge.HoldingStream: one write takes the last message and
// the end of the RPC. In gRPC that end is a frame of its own, which can share a
// write only where the connection holds what comes before it, or where others keep
// it busy.
func (s sender) SendLast(frame *culvertv1.ResponseFrame) error {
	held := s.call.hold()
	s.call.holds.Store(s.call.peer.Protocol != connect.ProtocolGRPC || !held && s.call.handler.admission.shared())
	return s.Send(frame)
}

// Holds implements bridge.HoldingStream.
func (s sender) Holds() bool { return s.call.holds.Load() }

// FlushLast implements bridge.HoldingStream.
func (s sender) FlushLast() { s.call.FlushLast() }
