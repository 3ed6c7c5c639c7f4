package culvert

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptrace"
	"sync/atomic"
	"time"

	"connectrpc.com/connect"

	culvertv1 "github.com/culvert-http/culvert/api/culvert/v1"
	"github.com/culvert-http/culvert/api/culvert/v1/culvertv1connect"
	"github.com/culvert-http/culvert/internal/bridge"
)

// clientRPCs are the RPCs over one version of HTTP.
type clientRPCs struct {
	http2  bool
	server *clientServer
	config *transportConfig
	link   atomic.Pointer[clientLink]
	// sessions are of all links.
	sessions *sessionPool
	// The carriers of exchanges, by method.
	bySession, byExchange, byUpload, byDownload, byCall bridge.Carrier
	// recommended is bySession as long as that is what the server recommends.
	recommended bridge.Carrier
}

// clientLink is a pool of connections and what sends RPCs over them.
type clientLink struct {
	rpcs      *clientRPCs
	transport *http.Transport
	doer      *clientDoer
	options   []connect.ClientOption
	service   culvertv1connect.HTTPServiceClient
	made      time.Time
}

func newClientRPCs(ctx context.Context, server *clientServer, config *transportConfig, isHTTP2 bool) *clientRPCs {
	r := &clientRPCs{http2: isHTTP2, server: server, config: config}
	r.sessions = &sessionPool{start: func(inbound *bridge.Inbound) *clientSession {
		first := *inbound // which would keep its request for as long as the session lasts
		return startSession(bridge.WithInbound(ctx, &first), r.link.Load())
	}}
	r.link.Store(r.newLink())
	r.bySession, r.byExchange, r.byUpload = r.sessions.carrier(), r.exchangeCarrier(), r.uploadCarrier()
	r.byDownload, r.byCall = r.downloadCarrier(), r.callCarrier()
	r.recommended = r.bySession
	r.recommended.Again = r.byAdvice
	return r
}

// byAdvice is the carrier that the server recommends for what streams both ways.
func (r *clientRPCs) byAdvice() bridge.Carrier {
	if r.sessions.recommended() {
		return r.recommended
	}
	return r.byExchange
}

func (r *clientRPCs) newLink() *clientLink {
	l := &clientLink{rpcs: r, transport: r.server.newHTTPTransport(r.config, r.http2), made: time.Now()}
	l.doer = &clientDoer{
		transport: l.transport,
		header:    r.config.header,
		token:     r.config.token,
		failed:    func() { r.server.forget(r) },
		answered:  r.sessions.answered,
	}
	l.options = clientOptions(r.config, r.http2)
	l.service = culvertv1connect.NewHTTPServiceClient(boundedDoer{l.doer, r.config.maxMessage()}, r.server.base.String(), l.options...)
	return l
}

// minLinkAge bounds how often connections are opened because a server drains.
const minLinkAge = 50 * time.Millisecond

// leave has the next exchanges open connections of their own: the server that
// these lead to drains, and others may lead to another one. What runs goes on.
func (l *clientLink) leave() {
	if time.Since(l.made) >= minLinkAge && l.rpcs.link.CompareAndSwap(l, l.rpcs.newLink()) {
		l.transport.CloseIdleConnections()
	}
}

// explain returns err as an *Error.
func (l *clientLink) explain(err error) error {
	tunnelErr := l.rpcs.server.explain(err)
	if tunnelErr.Remote && tunnelErr.Cause == culvertv1.Cause_CAUSE_DRAINING && !errors.Is(err, errNotProcessed) {
		l.leave()
	}
	return tunnelErr
}

func clientOptions(config *transportConfig, isHTTP2 bool) []connect.ClientOption {
	options := []connect.ClientOption{
		// Every message would be compressed that is not: bodies often are already,
		// and it takes a third of the time of a small exchange.
		connect.WithAcceptCompression("gzip", nil, nil),
		connect.WithReadMaxBytes(config.maxMessage()),
	}
	switch {
	case config.protocol == ProtocolGRPC && isHTTP2:
		options = append(options, connect.WithGRPC())
	case config.protocol != ProtocolConnect:
		options = append(options, connect.WithGRPCWeb())
	}
	return append(options, config.connectOptions...)
}

func (r *clientRPCs) exchangeCarrier() bridge.Carrier {
	return bridge.Carrier{Duplex: true, Open: func(ctx context.Context) bridge.ClientStream {
		if len(r.config.connectOptions) == 0 {
			return newPlainStream(ctx, r.link.Load())
		}
		call, link := newClientCall(ctx), r.link.Load()
		conn, err := link.service.Exchange(call).Conn()
		return &exchangeStream{clientConnStream{call: call, link: link, conn: conn, err: err}}
	}}
}

func (r *clientRPCs) uploadCarrier() bridge.Carrier {
	return bridge.Carrier{Open: func(ctx context.Context) bridge.ClientStream {
		call, link := newClientCall(ctx), r.link.Load()
		conn, err := link.service.Upload(call).Conn()
		return &uploadStream{clientConnStream: clientConnStream{call: call, link: link, conn: conn, err: err}}
	}}
}

func (r *clientRPCs) downloadCarrier() bridge.Carrier {
	return bridge.Carrier{Whole: true, Open: func(ctx context.Context) bridge.ClientStream {
		return &downloadStream{clientConnStream{call: newClientCall(ctx), link: r.link.Load()}}
	}}
}

func (r *clientRPCs) callCarrier() bridge.Carrier {
	return bridge.Carrier{Whole: true, Open: func(ctx context.Context) bridge.ClientStream {
		return &callStream{call: newClientCall(ctx), link: r.link.Load()}
	}}
}

// clientConnStream is what the streams of the RPCs have in common.
type clientConnStream struct {
	call *clientCall
	link *clientLink
	conn connect.StreamingClientConn
	err  error // instead of a conn
}

// Send implements bridge.ClientStream.
func (s *clientConnStream) Send(frame *culvertv1.RequestFrame) error {
	if s.err != nil {
		return s.link.explain(s.err)
	}
	return s.sent(s.conn.Send(frame))
}

// sent returns the error of a call of connect that sends.
func (s *clientConnStream) sent(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, io.EOF):
		return io.EOF
	default:
		return s.link.explain(err)
	}
}

// CloseSend implements bridge.ClientStream.
func (s *clientConnStream) CloseSend() error { return s.sent(s.conn.CloseRequest()) }

// receive reads a message; io.EOF is the code OK.
func (s *clientConnStream) receive(message any) error {
	if s.err != nil {
		return s.link.explain(s.err)
	}
	err := s.conn.Receive(message)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, io.EOF):
		s.call.finish()
		return io.EOF
	default:
		return s.link.explain(err)
	}
}

// Trace implements bridge.TracedStream.
func (s *clientConnStream) Trace(sent *httptrace.ClientTrace) { s.call.sent = sent }

// Interrupt implements bridge.ClientStream.
func (s *clientConnStream) Interrupt() {
	s.call.interrupt()
	if s.conn != nil {
		_ = s.conn.CloseRequest() // context or not, Send may wait for the transport below to read
	}
}

// exchangeStream is an Exchange through connect.
type exchangeStream struct{ clientConnStream }

// Receive implements bridge.ClientStream.
func (s *exchangeStream) Receive(frame *culvertv1.ResponseFrame) error {
	frame.Reset() // connect leaves a message alone whose encoding is empty
	return s.receive(frame)
}

// downloadStream is a Download. It begins with the one message that it sends.
type downloadStream struct{ clientConnStream }

// Send implements bridge.ClientStream. It returns when the response begins.
func (s *downloadStream) Send(frame *culvertv1.RequestFrame) error {
	stream, err := s.link.service.Download(s.call, connect.NewRequest(frame))
	if err != nil {
		return s.link.explain(err)
	}
	s.conn, err = stream.Conn()
	return s.sent(err)
}

// CloseSend implements bridge.ClientStream.
func (s *downloadStream) CloseSend() error { return nil }

// Receive implements bridge.ClientStream.
func (s *downloadStream) Receive(frame *culvertv1.ResponseFrame) error {
	frame.Reset()
	return s.receive(frame)
}

// Interrupt implements bridge.ClientStream. There is nothing that a context does
// not end.
func (s *downloadStream) Interrupt() { s.call.interrupt() }

// uploadStream is an Upload. What it receives is one message.
type uploadStream struct {
	clientConnStream
	received bool
}

// Receive implements bridge.ClientStream. The response counts once the RPC has
// ended well.
func (s *uploadStream) Receive(frame *culvertv1.ResponseFrame) error {
	frame.Reset()
	if s.received {
		return io.EOF
	}
	var response culvertv1.HTTPResponse
	if err := s.receive(&response); err != nil {
		return err
	}
	s.received = true
	err := s.receive(&culvertv1.HTTPResponse{})
	if err == nil {
		return errTwoResponses()
	}
	if err != io.EOF {
		return err
	}
	fillResponseFrame(frame, &response)
	return nil
}

// callStream is a Call.
type callStream struct {
	call     *clientCall
	link     *clientLink
	response *culvertv1.HTTPResponse
}

// Send implements bridge.ClientStream. It returns when the response is there.
func (s *callStream) Send(frame *culvertv1.RequestFrame) error {
	head := frame.GetHead()
	response, err := s.link.service.Call(s.call, connect.NewRequest(&culvertv1.HTTPRequest{
		Method:        head.GetMethod(),
		Scheme:        head.GetScheme(),
		Authority:     head.GetAuthority(),
		Path:          head.GetPath(),
		RawPath:       head.GetRawPath(),
		Headers:       head.GetHeaders(),
		HttpVersion:   head.GetHttpVersion(),
		ClientAddress: head.GetClientAddress(),
		Body:          frame.GetData(),
		Trailers:      frame.GetTrailers(),
	}))
	if err != nil {
		return s.link.explain(err)
	}
	s.call.finish()
	s.response = response.Msg
	return nil
}

// CloseSend implements bridge.ClientStream.
func (s *callStream) CloseSend() error { return nil }

// Receive implements bridge.ClientStream.
func (s *callStream) Receive(frame *culvertv1.ResponseFrame) error {
	frame.Reset()
	if s.response == nil {
		return io.EOF
	}
	fillResponseFrame(frame, s.response)
	s.response = nil
	return nil
}

// Trace implements bridge.TracedStream.
func (s *callStream) Trace(sent *httptrace.ClientTrace) { s.call.sent = sent }

// Interrupt implements bridge.ClientStream.
func (s *callStream) Interrupt() { s.call.interrupt() }

// fillResponseFrame makes a whole response one frame.
func fillResponseFrame(frame *culvertv1.ResponseFrame, response *culvertv1.HTTPResponse) {
	frame.Informational = response.GetInformational()
	frame.Head = &culvertv1.ResponseHead{Status: response.GetStatus(), Headers: response.GetHeaders()}
	frame.Data = response.GetBody()
	if text := response.GetText(); text != "" {
		frame.Data = []byte(text)
	}
	frame.End = true
	frame.Trailers = response.GetTrailers()
}

func errTwoResponses() *Error {
	return &Error{Cause: culvertv1.Cause_CAUSE_MALFORMED_RESPONSE, Err: errors.New("second response")}
}
