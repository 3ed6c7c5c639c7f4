package culvert

import (
	"net"
	"net/http"

	"github.com/culvert-http/culvert/internal/onestream"
	"github.com/culvert-http/culvert/internal/session"
)

// sessionConns carries the RPC of a session, over a connection of its own. It is an
// http.RoundTripper for that one request, which has no body: the session is.
type sessionConns struct {
	conns  *clientConns
	config *onestream.Config
	body   *sessionBody
}

// newSessionDoer returns what carries the RPC of a session.
func (l *clientLink) newSessionDoer(s *session.Session) *clientDoer {
	doer := *l.doer
	config := l.rpcs.config
	doer.transport = &sessionConns{
		conns: l.rpcs.server.conns,
		config: &onestream.Config{
			StreamWindow:   config.streamWindow,
			ConnWindow:     config.connWindow,
			MaxFrame:       maxHTTP2Frame,
			MaxHeaderBytes: maxRPCHead,
			PingInterval:   config.pingInterval,
			PingTimeout:    config.pingTimeout,
		},
		body: &sessionBody{s},
	}
	return &doer
}

// RoundTrip implements http.RoundTripper.
func (s *sessionConns) RoundTrip(request *http.Request) (*http.Response, error) {
	conn, err := s.dial(request)
	if err != nil {
		return nil, err
	}
	return onestream.RoundTrip(conn, request, s.body, s.config)
}

func (s *sessionConns) dial(request *http.Request) (net.Conn, error) {
	if s.conns.base.Scheme == "https" {
		return s.conns.dialTLS(request.Context(), "tcp", s.conns.address, true)
	}
	return s.conns.dialHTTP2(request.Context(), "tcp", s.conns.address)
}

// sessionHeadroom is what is free before each batch of a session: for the header of
// a frame, and the prefix of a message.
const sessionHeadroom = onestream.Headroom + envelopePrefix

// sessionBody is the request of a session's RPC: the messages of the session.
type sessionBody struct{ session *session.Session }

// Next implements onestream.Pieces.
func (b *sessionBody) Next() ([]byte, error) {
	batch, err := b.session.NextBatch()
	if err == nil {
		sealEnvelope(batch[onestream.Headroom:], 0)
	}
	return batch, err
}

// Close implements onestream.Pieces. The session ends when the one who receives
// knows why this has.
func (b *sessionBody) Close() error {
	b.session.InterruptBatch()
	return nil
}
