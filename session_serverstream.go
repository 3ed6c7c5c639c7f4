package culvert

import (
	"errors"
	"io"
	"sync"
	"time"

	culvertv1 "github.com/culvert-http/culvert/api/culvert/v1"
	"github.com/culvert-http/culvert/internal/bridge"
	"github.com/culvert-http/culvert/internal/session"
	"github.com/culvert-http/culvert/internal/wire"
)

// sessionChunk is how much of a body an exchange may send in its turn, in bytes.
const sessionChunk = 64 << 10

// sessionStream adapts an exchange of a served session to the bridge.
type sessionStream struct {
	exchange *session.Exchange
	reader   wire.Reader
	patience time.Duration // with a client that gives no credit; 0 means without end
}

// Receive implements bridge.ServerStream.
func (s *sessionStream) Receive(frame *culvertv1.RequestFrame) error {
	s.reader.Release()
	part, err := s.exchange.Receive()
	if err == session.ErrPaused {
		return bridge.ErrPaused
	}
	if err != nil {
		return sessionError(err)
	}
	if s.reader.Request(part, frame) != nil {
		return malformedBody("malformed part of an exchange")
	}
	return nil
}

// Release implements bridge.Releaser.
func (s *sessionStream) Release() { s.reader.Release() }

// Send implements bridge.ServerStream.
func (s *sessionStream) Send(frame *culvertv1.ResponseFrame) error {
	if len(frame.GetData()) > sessionChunk {
		return s.sendChunks(frame)
	}
	meta := newPartMeta()
	defer meta.release()
	meta.bytes = wire.AppendResponseMeta(meta.bytes, frame, len(frame.GetData()))
	return s.sent(s.exchange.Send(meta.bytes, frame.GetData(), frame.GetEnd()))
}

// SendLast implements bridge.MultiplexedStream.
func (s *sessionStream) SendLast(frame *culvertv1.ResponseFrame) error {
	if len(frame.GetData()) > sessionChunk {
		return s.sendChunks(frame)
	}
	meta := newPartMeta()
	defer meta.release()
	meta.bytes = wire.AppendResponseMeta(meta.bytes, frame, len(frame.GetData()))
	return s.sent(s.exchange.SendLast(meta.bytes, frame.GetData()))
}

// sendChunks sends a frame as several parts: each exchange has its turn.
func (s *sessionStream) sendChunks(frame *culvertv1.ResponseFrame) error {
	part := &culvertv1.ResponseFrame{Head: frame.GetHead(), Informational: frame.GetInformational()}
	for rest := frame.GetData(); ; {
		part.Data = rest[:min(len(rest), sessionChunk)]
		if rest = rest[len(part.GetData()):]; len(rest) == 0 {
			part.End, part.Trailers = frame.GetEnd(), frame.GetTrailers()
		}
		if err := s.Send(part); err != nil || len(rest) == 0 {
			return err
		}
		part.Head, part.Informational = nil, nil
	}
}

// sent is what the bridge makes of the error of a part.
func (s *sessionStream) sent(err error) error {
	if err == session.ErrStalled {
		return stalledFor(s.patience)
	}
	return sessionError(err)
}

// partMeta is memory for all of a part but its data.
type partMeta struct {
	bytes []byte
	room  [1 << 10]byte
}

var partMetas = sync.Pool{New: func() any { return new(partMeta) }}

func newPartMeta() *partMeta {
	meta := partMetas.Get().(*partMeta)
	meta.bytes = meta.room[:0]
	return meta
}

// release lets the memory be used again. What needed more than there is room for
// goes.
func (m *partMeta) release() {
	m.bytes = nil
	partMetas.Put(m)
}

// InterruptReceive implements bridge.ServerStream.
func (s *sessionStream) InterruptReceive() { s.exchange.InterruptReceive() }

// PauseReceive implements bridge.PausingStream.
func (s *sessionStream) PauseReceive() { s.exchange.PauseReceive() }

// InterruptSend implements bridge.ServerStream.
func (s *sessionStream) InterruptSend() { s.exchange.InterruptSend() }

// OnEnd implements bridge.MultiplexedStream.
func (s *sessionStream) OnEnd(ender interface{ End(err error) }) { s.exchange.OnReset(ender) }

var (
	_ bridge.MultiplexedStream = (*sessionStream)(nil)
	_ bridge.PausingStream     = (*sessionStream)(nil)
)

// sessionError is what the bridge makes of an error of a session.
func sessionError(err error) error {
	if err == nil || err == io.EOF {
		return err
	}
	var reset *session.ResetError
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF):
		return io.EOF // the client has half-closed: the bridge knows what is missing
	case errors.As(err, &reset):
		return &Error{Cause: reset.Cause, NotStarted: reset.NotStarted, Remote: reset.Remote, Err: errors.New(reset.Message)}
	default:
		return &Error{Cause: culvertv1.Cause_CAUSE_CANCELED, Err: err}
	}
}
