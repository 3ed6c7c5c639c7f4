// Package culvert carries HTTP exchanges inside RPCs.
//
// A [Handler] is the server's end: mounted on a mux, it gives every exchange that
// comes in by gRPC, gRPC-Web or Connect to an inner http.Handler.
//
//	mux.Handle(culvert.NewHandler(app))
//
// A [Transport] is the client's end: an http.RoundTripper, with which any
// http.Client sends its requests through the tunnel.
//
//	transport, err := culvert.NewTransport("https://tunnel.example")
//	client := &http.Client{Transport: transport}
//
// A [Gateway] is an http.Handler in front of a transport, for every other client
// of HTTP.
//
//	http.ListenAndServe("localhost:8081", culvert.NewGateway(transport))
//
// The protocol is docs/protocol.md; its messages are in api/culvert/v1.
package culvert

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"connectrpc.com/connect"

	culvertv1 "github.com/culvert-http/culvert/api/culvert/v1"
	"github.com/culvert-http/culvert/api/culvert/v1/culvertv1connect"
	"github.com/culvert-http/culvert/internal/bridge"
	"github.com/culvert-http/culvert/internal/connwatch"
	"github.com/culvert-http/culvert/internal/peername"
)

// ServiceName is the name of the RPC service, as reflection and health checks
// have it, and the path that it is mounted on.
const ServiceName = culvertv1connect.HTTPServiceName

// Handler is the server's end of the tunnel: an http.Handler for the RPCs of
// culvert.v1.HTTPService, which gives the requests that they carry to an inner
// handler. It accepts gRPC, gRPC-Web (its text mode too) and Connect, in protobuf
// and in JSON. It is safe for concurrent use.
type Handler struct {
	config    *handlerConfig
	bridge    *bridge.Server
	methods   map[string]http.Handler // by the RPC's path
	errors    *connect.ErrorWriter
	admission *admission // of exchanges
	rates     *peerRates
	stalls    stalls
	sessions  sessions
	// sessionAdmission is that of sessions, which take no place among the exchanges.
	sessionAdmission *admission
	// trustedNames are those of WithTrustedNames.
	trustedNames peername.List
}

// NewHandler returns a [Handler] around inner, and the pattern to mount it under:
//
//	mux.Handle(culvert.NewHandler(app))
//
// The server that it is mounted in must speak HTTP/2 for gRPC clients and for
// Exchange: set [net/http.Server.Protocols], or see [H2C]. It must not have a
// ReadTimeout or WriteTimeout, which cut long exchanges. Its windows should be set:
// with net/http's own one upload that nobody reads holds up its whole connection.
// 4 MiB a stream and 64 MiB a connection, in [net/http.HTTP2Config], are what
// culvert serve has.
//
// The inner handler sees requests as net/http would have made them, with these
// differences: RemoteAddr and TLS are those of the RPC (see [PeerFromContext]);
// fields that claim where a request has come from are dropped unless the RPC's
// peer is trusted (see [WithTrustedNetworks]); every exchange is full duplex; only
// requests to upgrade can be hijacked.
//
// NewHandler panics if inner is nil or an option makes no sense.
func NewHandler(inner http.Handler, opts ...HandlerOption) (pattern string, handler *Handler) {
	if inner == nil {
		panic("culvert: NewHandler: the inner handler is nil")
	}
	config := newHandlerConfig(opts)
	h := &Handler{
		config: config,
		bridge: &bridge.Server{
			Handler:     inner,
			Limits:      bridge.Limits{HeadBytes: config.maxHeadBytes, Fields: config.maxFields},
			MaxBody:     config.maxBodyBytes,
			HeadTimeout: config.headTimeout,
			IdleTimeout: config.idleTimeout,
			Upgrades:    config.upgrades,
			Logger:      config.logger,
		},
		admission:    newAdmission("exchanges", config.maxExchanges, config.maxExchangesPerConn, config.maxWait),
		rates:        newPeerRates(config.ratePerPeer, config.burstPerPeer),
		stalls:       stalls{timeout: config.stallTimeout},
		trustedNames: compileNames("WithTrustedNames", config.trustedNames),

		sessionAdmission: newAdmission("sessions", config.maxSessions, config.maxExchangesPerConn, 0),
	}
	options := h.connectOptions()
	_, methods := culvertv1connect.NewHTTPServiceHandler(service{}, options...)
	h.methods = make(map[string]http.Handler, 5)
	for _, procedure := range []string{
		culvertv1connect.HTTPServiceCallProcedure,
		culvertv1connect.HTTPServiceUploadProcedure,
		culvertv1connect.HTTPServiceDownloadProcedure,
		culvertv1connect.HTTPServiceExchangeProcedure,
		culvertv1connect.HTTPServiceSessionProcedure,
	} {
		h.methods[procedure] = methods
	}
	h.errors = connect.NewErrorWriter(options...)
	return "/" + ServiceName + "/", h
}

func (h *Handler) connectOptions() []connect.HandlerOption {
	options := []connect.HandlerOption{
		codecs(),
		// Nothing is compressed unless asked for: the exchanges' own content coding
		// does that. What clients compress is understood.
		connect.WithCompressMinBytes(math.MaxInt),
		connect.WithConditionalHandlerOptions(func(spec connect.Spec) []connect.HandlerOption {
			most := h.maxMessage(spec.Procedure)
			return []connect.HandlerOption{connect.WithReadMaxBytes(most), withBoundedGzip(most)}
		}),
	}
	return append(options, h.config.connectOptions...)
}

// maxMessage bounds the messages of a method. Those of the streams are chunks;
// others hold a whole body, in JSON perhaps, which is longer.
func (h *Handler) maxMessage(procedure string) int {
	const envelope = 64 << 10 // for tags, lengths and JSON's keys
	heads := 4*h.config.maxHeadBytes + envelope
	switch procedure {
	case culvertv1connect.HTTPServiceCallProcedure, culvertv1connect.HTTPServiceDownloadProcedure:
		return 2*h.config.maxBodyBytes + heads
	default:
		return 1<<20 + heads
	}
}

// ServeHTTP implements http.Handler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if connwatch.InDoubt(r) {
		w.Header().Set("Connection", "close")
	}
	memory := new(rpcMemory)
	watched := &memory.stall
	watched.watch(w, r, &h.stalls)
	defer watched.finish()
	binary, ok := fromWebText(r)
	if !ok {
		h.serve(watched, memory, r, r.Header)
		return
	}
	text := newWebTextWriter(watched)
	h.serve(text, memory, binary, r.Header)
	text.finish()
}

// serve serves a call in a protocol that connect knows. What it writes goes
// through the stallWriter. header is that of the RPC as it came.
func (h *Handler) serve(w http.ResponseWriter, memory *rpcMemory, r *http.Request, header http.Header) {
	method, ok := h.methods[r.URL.Path]
	if !ok {
		h.answer(w, r, connect.NewError(connect.CodeUnimplemented, errors.New("no method "+r.URL.Path+" in "+ServiceName)))
		return
	}
	outer := rpcOf(r.Context())
	if outer.within(h) {
		Abort(r.Context(), culvertv1.Cause_CAUSE_LOOP, false, errors.New("the inner handler has led back to the tunnel"))
	}
	call := &memory.call
	memory.control = *http.NewResponseController(w)
	memory.context = rpcContext{r.Context(), call}
	call.memory, call.handler, call.outer, call.start = memory, h, outer, time.Now()
	call.writer, call.stall, call.control = w, &memory.stall, &memory.control
	call.peer = Peer{
		Addr:   r.RemoteAddr,
		TLS:    r.TLS,
		Method: strings.TrimPrefix(r.URL.Path, "/"+ServiceName+"/"),
		Header: header,
	}
	call.request = r.WithContext(&memory.context)
	defer call.observe()
	identity, refused := h.identify(r)
	if refused != nil {
		w.Header().Set("WWW-Authenticate", challenge)
		if refused.NotStarted { // elsewhere includes another connection: on HTTP/2 this is a GOAWAY
			w.Header().Set("Connection", "close")
		}
		h.answer(w, r, call.refuse(refused))
		return
	}
	call.peer.Identity = identity
	if h.config.authenticate != nil {
		call.peer.Header = withoutCredentials(header)
	}
	defer call.follow(h.config.credentialGrace)()
	if err := h.admit(call.request, call.peer.Method); err != nil {
		h.answer(w, r, call.refuse(err))
		return
	}
	defer h.admissionOf(call.peer.Method).leave(connOf(r))
	h.receive(call, method)
}

// admit says whether the call may begin.
func (h *Handler) admit(r *http.Request, method string) *Error {
	if r.ProtoMajor < 2 && (method == "Exchange" || method == "Session") {
		return &Error{
			Cause:  culvertv1.Cause_CAUSE_HTTP2_REQUIRED,
			Err:    fmt.Errorf("HTTP/1.1 cannot carry %s: call it over HTTP/2, or call Upload or Download", method),
			Public: true,
		}
	}
	if method == "Session" && h.config.sessionMode == SessionsOff {
		return &Error{
			Cause:  culvertv1.Cause_CAUSE_PERMISSION_DENIED,
			Err:    errors.New("this server takes no sessions: call Exchange"),
			Public: true,
		}
	}
	return h.enter(r.Context(), h.admissionOf(method), r, connOf(r))
}

// enter admits an exchange of a request, or its session, which counts for a
// connection and must leave again, or says why not.
func (h *Handler) enter(ctx context.Context, admission *admission, r *http.Request, conn string) *Error {
	if h.rates != nil {
		if err := h.rates.take(peerKey(r, r.RemoteAddr)); err != nil {
			return err
		}
	}
	return admission.enter(ctx, conn)
}

// admissionOf returns what a call has to pass. A session that carries nothing takes
// no place from what runs.
func (h *Handler) admissionOf(method string) *admission {
	if method == "Session" {
		return h.sessionAdmission
	}
	return h.admission
}

// answer ends a call before connect sees it, in the client's protocol.
func (h *Handler) answer(w http.ResponseWriter, r *http.Request, err error) {
	if r.ProtoMajor < 2 {
		// A client that expects to write and read at once would write on.
		w.Header().Set("Connection", "close")
		lingerAfter(w)
		defer func() { _ = http.NewResponseController(w).SetReadDeadline(inThePast) }()
	}
	_ = h.errors.Write(w, r, err)
}

// receive hands the call to connect.
func (h *Handler) receive(call *rpc, method http.Handler) {
	defer call.end()
	r := call.request
	single := call.peer.Method == "Call" || call.peer.Method == "Download"
	call.body = &call.memory.body
	call.body.start(call, h.maxMessage(r.URL.Path), single)
	r.Body = call.body
	if h.config.headTimeout > 0 && single {
		call.stopWatch = call.watchArrival(h.config.headTimeout, h.config.idleTimeout)
		defer call.stopWatch()
	}
	if timeout, plain := call.plainTimeout(); plain {
		call.servePlain(timeout)
		return
	}
	call.memory.writer = rpcWriter{call.writer, call}
	method.ServeHTTP(&call.memory.writer, r)
	if !call.begun {
		call.result.Err = call.body.failure()
	}
}

// trusts reports whether the peer at addr is believed.
func (h *Handler) trusts(addr string) bool {
	if len(h.config.trusted) == 0 {
		return false
	}
	peer, err := netip.ParseAddrPort(addr)
	if err != nil {
		return false
	}
	ip := peer.Addr().Unmap()
	for _, network := range h.config.trusted {
		if network.Contains(ip) {
			return true
		}
	}
	return false
}

// connOf names the connection of a request, "" where it has no name of its own.
func connOf(r *http.Request) string {
	if _, err := netip.ParseAddrPort(r.RemoteAddr); err != nil {
		return "" // a unix socket
	}
	return r.RemoteAddr
}

// Shutdown refuses new exchanges from now on, as not started, so that clients
// send them elsewhere, and waits until the running ones have ended. If ctx is
// done before that, it returns the error of ctx and leaves the rest to whoever
// closes the connections. Call it before [net/http.Server.Shutdown], which drains
// sessions too, but loses requests whose bodies cannot be sent twice.
func (h *Handler) Shutdown(ctx context.Context) error {
	h.sessions.drain()
	if err := h.admission.drain(ctx); err != nil {
		return err
	}
	return h.sessionAdmission.drain(ctx)
}
