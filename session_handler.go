package culvert

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"connectrpc.com/connect"

	culvertv1 "github.com/culvert-http/culvert/api/culvert/v1"
	"github.com/culvert-http/culvert/internal/bridge"
	"github.com/culvert-http/culvert/internal/connwatch"
	"github.com/culvert-http/culvert/internal/resets"
	"github.com/culvert-http/culvert/internal/session"
)

// Session implements culvertv1connect.HTTPServiceHandler.
func (service) Session(
	ctx context.Context, stream *connect.BidiStream[culvertv1.SessionRequest, culvertv1.SessionResponse],
) error {
	call := rpcOf(ctx)
	call.peer.Protocol = stream.Peer().Protocol
	call.begun, call.unobserved = true, true // its exchanges are observed
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	served := &servedSession{call: call, conn: connOf(call.request), ctx: ctx, carrier: newSessionCarrier(call, stream.Conn())}
	return served.run()
}

// servedSession is the server's end of a session.
type servedSession struct {
	call     *rpc
	conn     string          // that the session's exchanges count for
	ctx      context.Context //nolint:containedctx // of all exchanges
	carrier  sessionCarrier
	session  *session.Session
	resets   *resets.Count
	accepted []*session.Exchange // by the message that is being read
}

// run serves the session until its client has half-closed or gone, or it was
// drained, and nothing of it runs any more.
func (s *servedSession) run() error {
	h := s.call.handler
	s.resets = connwatch.Resets(s.ctx)
	s.session = session.New(session.Config{
		Server:       true,
		MaxExchanges: h.config.maxExchangesPerConn,
		MaxHeadBytes: h.config.maxHeadBytes,
		MaxFields:    h.config.maxFields,
		MaxBytes:     int64(h.config.maxSessionBytes),
		Recommended:  h.recommends(s.call.request),
		Headroom:     envelopePrefix,
		Patience:     h.config.stallTimeout,
		Resets:       s.resets,
		Accept:       func(x *session.Exchange) { s.accepted = append(s.accepted, x) },
	})
	if !h.sessions.add(s.session, s.call.request) {
		return s.call.refuse(&Error{Cause: culvertv1.Cause_CAUSE_DRAINING, NotStarted: true})
	}
	defer h.sessions.remove(s.session)
	defer s.endWithCredential()()
	if age := h.config.sessionAge; age > 0 {
		defer time.AfterFunc(jitter(age), s.session.Drain).Stop()
	}
	written := make(chan struct{})
	go func() {
		defer close(written)
		s.write()
		s.call.InterruptReceive()
	}()
	crew := &sessionCrew{read: s.read, serve: s.serve}
	crew.run()
	<-written
	crew.wait()
	return s.ending()
}

// ending is how the RPC ends: with OK, unless the client has broken the rules or
// its credential has ended.
func (s *servedSession) ending() error {
	err := s.session.Err()
	if breach, ok := errors.AsType[*session.ViolationError](err); ok {
		return s.call.refuse(malformedBody(breach.Error()))
	}
	if s.call.credentialEnded() {
		return s.call.refuse(errCredentialEnded)
	}
	if bad, ok := bridge.AsError(err); ok && bad.Public { // a message that is none, or too long
		return s.call.refuse(bad)
	}
	return nil
}

// endWithCredential drains the session when the credential that opened it ends,
// and fails it when the grace after that is over. Release ends what watches over
// that.
func (s *servedSession) endWithCredential() (release func()) {
	valid := s.call.valid
	if valid == nil {
		return func() {}
	}
	keepOpen := context.AfterFunc(valid, s.session.Drain)
	keepRunning := context.AfterFunc(s.ctx, func() { s.session.Fail(context.Cause(s.ctx)) })
	return func() {
		keepOpen()
		keepRunning()
	}
}

// jitter spreads the ages of sessions, so that not all that began together end
// together.
func jitter(age time.Duration) time.Duration {
	return age*4/5 + rand.N(age*2/5+1) //nolint:gosec // nothing is secret about it
}

// write sends what the session has to send, as far as those who have finished an
// exchange do not.
func (s *servedSession) write() {
	for {
		batch, err := s.session.NextBatch()
		if err != nil {
			return
		}
		if err := s.carrier.send(batch); err != nil {
			s.session.Fail(err)
			return
		}
	}
}

// read gives the session the next message, and returns the exchanges that it has
// opened. At the end of the session there are no more to come.
func (s *servedSession) read() (opened []*session.Exchange, more bool) {
	if err := s.pause(); err != nil {
		s.session.DeliverEnd(err)
		return nil, false
	}
	message, err := s.carrier.receive()
	if err != nil {
		s.session.DeliverEnd(err)
		return nil, false
	}
	s.accepted = s.accepted[:0]
	err = s.session.Deliver(message)
	return s.accepted, err == nil
}

// errTooManyResets ends a session whose client takes back far more exchanges than
// it may.
var errTooManyResets = &Error{
	Cause:  culvertv1.Cause_CAUSE_TOO_MANY_EXCHANGES,
	Err:    errors.New("too many exchanges that come to nothing"),
	Public: true,
}

// pause waits for as long as nothing is to be read of a client that takes back what
// it has opened.
func (s *servedSession) pause() error {
	pause, ok := s.resets.Pause()
	if !ok {
		return errTooManyResets
	}
	if pause > 0 {
		wait, cancel := context.WithTimeout(s.ctx, pause)
		<-wait.Done()
		cancel()
	}
	return nil
}

// servedExchange is what an exchange of a session is served with, in one piece.
type servedExchange struct {
	call    rpc
	context sessionContext
	stream  sessionStream
}

// serve serves an exchange that the client has opened.
func (s *servedSession) serve(x *session.Exchange) {
	h := s.call.handler
	served := &servedExchange{
		call: rpc{
			handler: h, peer: s.call.peer, valid: s.call.valid,
			request: s.call.request, start: time.Now(), control: s.call.control,
		},
		stream: sessionStream{exchange: x, patience: h.config.stallTimeout},
	}
	call, stream := &served.call, &served.stream
	defer s.contain(x)
	defer call.observe()
	if err := h.enter(s.ctx, h.admission, s.call.request, s.conn); err != nil {
		call.result = bridge.Result{Err: err}
		x.Reset(err.Cause, true, toRPC(err).Message())
		x.Close(err.Cause)
		return
	}
	returned := false
	defer func() {
		if !returned {
			call.result.Err = &Error{Cause: culvertv1.Cause_CAUSE_HANDLER_FAILED, Err: errors.New("handler has left its goroutine")}
			x.Reset(culvertv1.Cause_CAUSE_HANDLER_FAILED, false, "handler failed")
		}
		h.admission.leave(s.conn)
		x.Finish(culvertv1.Cause_CAUSE_CANCELED, s.carrier.send)
	}()
	err := call.serve(s.contextOf(served), connect.Peer{Protocol: s.call.peer.Protocol}, stream, bridge.Origin{Streaming: true})
	if rpcErr, ok := errors.AsType[*connect.Error](err); ok {
		failure := call.result.Err
		x.Reset(failure.Cause, failure.NotStarted, rpcErr.Message())
	}
	stream.reader.Release()
	returned = true
}

// contain keeps a panic beside the handler, of an observer for one, from ending
// more than the exchange: net/http has no hand in the session's goroutines.
func (s *servedSession) contain(x *session.Exchange) {
	if cause := recover(); cause != nil {
		x.Close(culvertv1.Cause_CAUSE_HANDLER_FAILED)
		s.call.handler.config.logger.Error("panic beside the inner handler", "panic", fmt.Sprint(cause), "stack", string(debug.Stack()))
	}
}

// contextOf returns the context of an exchange: the session's, with the call. The
// end of the session is told to each of its exchanges, so that they need not watch
// for it here; but for a deadline.
func (s *servedSession) contextOf(served *servedExchange) context.Context {
	if _, ok := s.ctx.Deadline(); ok {
		return context.WithValue(s.ctx, rpcKey{}, &served.call)
	}
	served.context = sessionContext{Context: s.ctx, call: &served.call}
	return &served.context
}

// sessionContext is the context of a session as one of its exchanges sees it.
type sessionContext struct {
	context.Context //nolint:containedctx // this is one
	call            *rpc
}

// Done implements context.Context.
func (*sessionContext) Done() <-chan struct{} { return nil }

// Err implements context.Context.
func (*sessionContext) Err() error { return nil }

// Value implements context.Context.
func (c *sessionContext) Value(key any) any {
	if key == (rpcKey{}) {
		return c.call
	}
	return c.Context.Value(key)
}

// sessions are the sessions of a handler, so that they can be drained.
type sessions struct {
	mu       sync.Mutex
	all      map[*session.Session]*http.Server
	servers  map[*http.Server]struct{} // that tell when they shut down
	draining bool
}

// add reports false if no session may begin any more.
func (s *sessions) add(one *session.Session, r *http.Request) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.draining {
		return false
	}
	if s.all == nil {
		s.all, s.servers = make(map[*session.Session]*http.Server), make(map[*http.Server]struct{})
	}
	server, _ := r.Context().Value(http.ServerContextKey).(*http.Server)
	s.all[one] = server
	if _, told := s.servers[server]; server != nil && !told {
		// It would wait for a session as for any request that runs, and that one for its
		// client, which has no reason to end it.
		s.servers[server] = struct{}{}
		server.RegisterOnShutdown(func() { s.drainOf(server) })
	}
	return true
}

// drainOf drains the sessions of a server.
func (s *sessions) drainOf(server *http.Server) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for one, its := range s.all {
		if its == server {
			one.Drain()
		}
	}
}

func (s *sessions) remove(one *session.Session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.all, one)
}

func (s *sessions) drain() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.draining = true
	for one := range s.all {
		one.Drain()
	}
}

// intermediaries are how the names of fields begin that proxies and meshes leave
// on the RPCs that pass through them.
var intermediaries = []string{"Via", "Forwarded", "X-Forwarded-", "X-Request-Id", "X-Real-Ip", "X-B3-", "X-Envoy-", "L5d-"}

// recommends reports whether clients should send their exchanges in sessions. An
// intermediary would see one endless RPC where it balances, limits and logs.
func (h *Handler) recommends(r *http.Request) bool {
	switch h.config.sessionMode {
	case SessionsAllow, SessionsOff:
		return false
	case SessionsRecommend:
	}
	for name := range r.Header {
		for _, prefix := range intermediaries {
			if strings.HasPrefix(name, prefix) {
				return false
			}
		}
	}
	return true
}
