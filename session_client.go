package culvert

import (
	"context"
	"errors"
	"io"
	"slices"
	"sync"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"

	culvertv1 "github.com/culvert-http/culvert/api/culvert/v1"
	"github.com/culvert-http/culvert/api/culvert/v1/culvertv1connect"
	"github.com/culvert-http/culvert/internal/session"
)

// sessionRPC is the client of Session alone: its messages stay in their binary
// form.
type sessionRPC = connect.Client[culvertv1.SessionRequest, culvertv1.SessionResponse]

func newSessionRPC(doer connect.HTTPClient, base string, options []connect.ClientOption) *sessionRPC {
	options = append(slices.Clip(options), connect.WithCodec(sessionCodec{}))
	return connect.NewClient[culvertv1.SessionRequest, culvertv1.SessionResponse](
		doer, base+culvertv1connect.HTTPServiceSessionProcedure, options...)
}

// sessionCodec keeps the messages of sessions as they are, in their unknown
// fields.
type sessionCodec struct{}

func (sessionCodec) Name() string { return "proto" }

func (sessionCodec) Marshal(message any) ([]byte, error) { return protoCodec{}.Marshal(message) }

func (sessionCodec) MarshalAppend(dst []byte, message any) ([]byte, error) {
	return protoCodec{}.MarshalAppend(dst, message)
}

func (sessionCodec) Unmarshal(data []byte, message any) error {
	batch, ok := message.(*culvertv1.SessionResponse)
	if !ok { // connect has the status of an error read by the same codec
		m, ok := message.(proto.Message)
		if !ok {
			return errNotProto(message)
		}
		return proto.Unmarshal(data, m)
	}
	batch.ProtoReflect().SetUnknown(append(batch.ProtoReflect().GetUnknown()[:0], data...))
	return nil
}

// clientSession is the client's end of a session.
type clientSession struct {
	session *session.Session
	call    *clientCall
	link    *clientLink   // the transport's when the session began
	greeted chan struct{} // closed when the server's hello is there, or never will be
	ended   chan struct{} // closed when nothing uses the RPC any more

	mu  sync.Mutex
	err error // of the RPC, after ended
}

// startSession begins a session over a connection of its own: servers bound the
// exchanges of a connection too. It does not wait for the server.
func startSession(ctx context.Context, link *clientLink) *clientSession {
	s := &clientSession{
		link:    link,
		greeted: make(chan struct{}),
		ended:   make(chan struct{}),
	}
	var once sync.Once
	greet := func() { once.Do(func() { close(s.greeted) }) }
	s.session = session.New(session.Config{
		MaxHeadBytes: link.rpcs.config.maxHeadBytes,
		MaxFields:    link.rpcs.config.maxFields,
		MaxBytes:     int64(link.rpcs.config.maxSessionBytes),
		Headroom:     sessionHeadroom,
		OnHello:      func(*culvertv1.Hello) { greet() },
		OnDrain:      link.leave,
	})
	run := s.carry(ctx)
	go func() {
		defer close(s.ended)
		defer greet()
		run()
		s.call.interrupt()
	}()
	return s
}

// carry returns what carries the session from its beginning to its end.
func (s *clientSession) carry(ctx context.Context) (run func()) {
	if len(s.link.rpcs.config.connectOptions) > 0 {
		s.call = newClientCall(ctx)
		return s.carryByConnect
	}
	rpc := s.link.newClientRPC(ctx, culvertv1connect.HTTPServiceSessionProcedure, nil)
	rpc.doer = s.link.newSessionDoer(s.session)
	s.call = rpc.call
	return func() { s.read(rpc.receive) }
}

// carryByConnect carries the session with connect's client.
func (s *clientSession) carryByConnect() {
	own := s.link.rpcs.newLink()
	defer func() {
		s.call.interrupt()
		own.transport.CloseIdleConnections()
	}()
	rpc := newSessionRPC(own.doer, s.link.rpcs.server.base.String(), own.options)
	conn, err := rpc.CallBidiStream(s.call).Conn()
	if err != nil {
		s.end(err)
		return
	}
	written := make(chan struct{})
	go func() {
		defer close(written)
		s.write(conn)
	}()
	message := &culvertv1.SessionResponse{}
	s.read(func() ([]byte, error) {
		message.ProtoReflect().SetUnknown(message.ProtoReflect().GetUnknown()[:0])
		err := conn.Receive(message)
		return message.ProtoReflect().GetUnknown(), err
	})
	<-written
}

// write sends what the session has to send.
func (s *clientSession) write(conn connect.StreamingClientConn) {
	message := &culvertv1.SessionRequest{}
	for {
		batch, err := s.session.NextBatch()
		if err != nil {
			_ = conn.CloseRequest()
			return
		}
		message.ProtoReflect().SetUnknown(batch[sessionHeadroom:])
		if err := conn.Send(message); err != nil {
			if !errors.Is(err, io.EOF) { // then what is received says more
				s.end(err)
			}
			return
		}
	}
}

// read gives the session what arrives.
func (s *clientSession) read(receive func() ([]byte, error)) {
	for {
		message, err := receive()
		if err != nil {
			s.end(err)
			return
		}
		if err := s.session.Deliver(message); err != nil {
			s.end(&Error{Cause: culvertv1.Cause_CAUSE_MALFORMED_RESPONSE, Err: err})
			return
		}
	}
}

// end fails the session with the error of its RPC.
func (s *clientSession) end(err error) {
	if errors.Is(err, io.EOF) {
		s.call.finish()
		s.session.DeliverEnd(io.EOF)
		return
	}
	explained := s.link.explain(err)
	s.mu.Lock()
	if s.err == nil {
		s.err = explained
	}
	s.mu.Unlock()
	s.session.Fail(explained)
	s.call.interrupt()
}

// refusal is the error that the server has ended the session with before it said
// hello, nil if it did not.
func (s *clientSession) refusal() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.session.Hello() != nil {
		return nil
	}
	return s.err
}
