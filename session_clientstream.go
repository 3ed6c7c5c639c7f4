package culvert

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	culvertv1 "github.com/culvert-http/culvert/api/culvert/v1"
	"github.com/culvert-http/culvert/internal/bridge"
	"github.com/culvert-http/culvert/internal/session"
	"github.com/culvert-http/culvert/internal/wire"
)

// carrier carries exchanges by session.
func (p *sessionPool) carrier() bridge.Carrier {
	return bridge.Carrier{Duplex: true, Multiplexed: true, Open: func(ctx context.Context) bridge.ClientStream {
		return &sessionClientStream{ctx: ctx, pool: p}
	}}
}

// sessionClientStream is an exchange of a session.
type sessionClientStream struct {
	ctx    context.Context //nolint:containedctx // of the exchange
	pool   *sessionPool
	reader wire.Reader

	mu          sync.Mutex // guards what follows
	session     *clientSession
	exchange    *session.Exchange
	interrupted bool
}

// Send implements bridge.ClientStream. The first frame opens the exchange.
func (s *sessionClientStream) Send(frame *culvertv1.RequestFrame) error {
	if head := frame.GetHead(); head != nil {
		head.TimeoutMs = timeoutOf(s.ctx)
	}
	if len(frame.GetData()) <= sessionChunk {
		return s.send(frame)
	}
	part := &culvertv1.RequestFrame{Head: frame.GetHead()}
	for rest := frame.GetData(); ; { // each exchange has its turn
		part.Data = rest[:min(len(rest), sessionChunk)]
		if rest = rest[len(part.GetData()):]; len(rest) == 0 {
			part.End, part.Trailers = frame.GetEnd(), frame.GetTrailers()
		}
		if err := s.send(part); err != nil || len(rest) == 0 {
			return err
		}
		part.Head = nil
	}
}

// send sends a part.
func (s *sessionClientStream) send(part *culvertv1.RequestFrame) error {
	meta := newPartMeta()
	defer meta.release()
	meta.bytes = wire.AppendRequestMeta(meta.bytes, part, len(part.GetData()))
	if x := s.opened(); x != nil {
		return s.sent(x.Send(meta.bytes, part.GetData(), part.GetEnd()))
	}
	return s.open(meta.bytes, part.GetData(), part.GetEnd())
}

// timeoutOf returns what is left until the deadline of ctx, in milliseconds, 0
// if it has none.
func timeoutOf(ctx context.Context) uint64 {
	deadline, ok := ctx.Deadline()
	if !ok {
		return 0
	}
	return uint64(max(time.Until(deadline).Milliseconds(), 1))
}

func (s *sessionClientStream) opened() *session.Exchange {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.exchange
}

// open opens the exchange on the session that has the fewest. One that takes no
// more has seen nothing of it.
func (s *sessionClientStream) open(meta, data []byte, end bool) error {
	var avoid []*clientSession
	for {
		one := s.pool.get(bridge.InboundOf(s.ctx), avoid...)
		x, err := one.session.Open(s.ctx, meta, data, end)
		switch {
		case err == nil:
			return s.attach(one, x)
		case s.ctx.Err() != nil:
			return clientContextError(s.ctx)
		case one.refusal() != nil:
			s.pool.forget()
			return refusedSession(one.refusal())
		case len(avoid) < maxSessions: // the session has seen nothing of it
			avoid = append(avoid, one)
		default:
			s.pool.forget()
			return clientSessionError(one, err)
		}
	}
}

// attach keeps the exchange, unless the stream was interrupted meanwhile.
func (s *sessionClientStream) attach(one *clientSession, x *session.Exchange) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.interrupted {
		x.Close(culvertv1.Cause_CAUSE_CANCELED)
		return errInterrupted
	}
	s.session, s.exchange = one, x
	return nil
}

// sent returns the error of a part that could not be sent: what is received says
// why.
func (s *sessionClientStream) sent(err error) error {
	if err != nil {
		return io.EOF
	}
	return nil
}

// CloseSend implements bridge.ClientStream. The end of a part says it all.
func (s *sessionClientStream) CloseSend() error { return nil }

// Receive implements bridge.ClientStream.
func (s *sessionClientStream) Receive(frame *culvertv1.ResponseFrame) error {
	x := s.opened()
	if x == nil {
		return errInterrupted
	}
	s.reader.Release()
	part, err := x.Receive()
	if err == io.EOF {
		return io.EOF
	}
	if err != nil {
		if s.session.refusal() != nil {
			s.pool.forget()
		}
		return clientSessionError(s.session, err)
	}
	if err := s.reader.Response(part, frame); err != nil {
		return &Error{Cause: culvertv1.Cause_CAUSE_MALFORMED_RESPONSE, Err: err}
	}
	return nil
}

// Release implements bridge.Releaser.
func (s *sessionClientStream) Release() { s.reader.Release() }

// Interrupt implements bridge.ClientStream.
func (s *sessionClientStream) Interrupt() {
	s.mu.Lock()
	x := s.exchange
	s.interrupted = true
	s.mu.Unlock()
	if x != nil {
		x.Close(culvertv1.Cause_CAUSE_CANCELED)
	}
}

// clientSessionError is what an error of a session is to the caller of an
// exchange.
func clientSessionError(one *clientSession, err error) error {
	var reset *session.ResetError
	switch {
	case errors.As(err, &reset):
		return &Error{
			Cause:      reset.Cause,
			NotStarted: reset.NotStarted,
			Remote:     reset.Remote,
			Err:        errors.New(reset.Message),
		}
	case one.refusal() != nil:
		return refusedSession(one.refusal())
	default:
		return clientError(err)
	}
}

// refusedSession is the error of a server that takes no sessions: nothing of any
// exchange was started.
func refusedSession(err error) error {
	refused := *clientError(err)
	if refused.Remote && refused.Cause != culvertv1.Cause_CAUSE_LOOP { // it would go the same way again
		refused.NotStarted = true
	}
	return &refused
}
