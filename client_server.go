package culvert

import (
	"context"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"

	culvertv1 "github.com/culvert-http/culvert/api/culvert/v1"
)

// clientServer is what a transport knows of its server: how to reach it, and
// whether it speaks HTTP/2.
type clientServer struct {
	base   *url.URL
	conns  *clientConns
	http1  *clientRPCs
	http2  *clientRPCs
	closed <-chan struct{}

	mu     sync.Mutex // guards what follows
	known  *clientRPCs
	asking *clientProbe
}

// clientProbe is an attempt to find out what the server speaks.
type clientProbe struct {
	done chan struct{} // closed when the rest is set
	rpcs *clientRPCs
	err  error
}

func newClientServer(ctx context.Context, base *url.URL, config *transportConfig) *clientServer {
	s := &clientServer{base: base, conns: newClientConns(ctx, base, config), closed: ctx.Done()}
	s.http1 = newClientRPCs(ctx, s, config, false)
	s.http2 = newClientRPCs(ctx, s, config, true)
	return s
}

// rpcs returns the RPCs for what the server speaks. It asks the server if that
// is not known.
func (s *clientServer) rpcs(ctx context.Context) (*clientRPCs, error) {
	select {
	case <-s.closed:
		return nil, errTransportClosed()
	default:
	}
	s.mu.Lock()
	if known := s.known; known != nil {
		s.mu.Unlock()
		return known, nil
	}
	probe := s.asking
	if probe == nil {
		probe = &clientProbe{done: make(chan struct{})}
		s.asking = probe
		go s.ask(probe)
	}
	s.mu.Unlock()
	select {
	case <-probe.done:
		return probe.rpcs, probe.err
	case <-ctx.Done():
		return nil, clientContextError(ctx)
	}
}

// ask runs on its own, for all that wait for what comes of it: none of them ends
// it for the others.
func (s *clientServer) ask(probe *clientProbe) {
	isHTTP2, err := s.conns.probe()
	switch {
	case err != nil:
		probe.err = s.explain(err)
	case isHTTP2:
		probe.rpcs = s.http2
	default:
		probe.rpcs = s.http1
	}
	s.mu.Lock()
	s.known, s.asking = probe.rpcs, nil
	s.mu.Unlock()
	close(probe.done)
}

// forget has the next exchange ask the server again, because an RPC got no
// answer from it.
func (s *clientServer) forget(rpcs *clientRPCs) {
	s.mu.Lock()
	if s.known == rpcs {
		s.known = nil
	}
	s.mu.Unlock()
}

// explain returns err as an *Error, unless the transport is closed: then that is
// the reason.
func (s *clientServer) explain(err error) *Error {
	select {
	case <-s.closed:
		return errTransportClosed()
	default:
		return clientError(err)
	}
}

func (s *clientServer) closeIdle() {
	s.http2.sessions.closeIdle()
	s.http1.link.Load().transport.CloseIdleConnections()
	s.http2.link.Load().transport.CloseIdleConnections()
}

func (s *clientServer) closeAll() {
	s.conns.closeAll()
	s.http2.sessions.wait()
	s.closeIdle()
}

// newHTTPTransport returns the transport that carries RPCs over one version of
// HTTP.
func (s *clientServer) newHTTPTransport(config *transportConfig, isHTTP2 bool) *http.Transport {
	var protocols http.Protocols
	dial := s.conns.dial
	switch {
	case !isHTTP2:
		protocols.SetHTTP1(true)
	case s.base.Scheme == "http":
		protocols.SetUnencryptedHTTP2(true)
		dial = gatherHeads(holdCredit(s.conns.dialHTTP2, config.streamWindow, config.connWindow))
	default:
		protocols.SetHTTP2(true)
	}
	return &http.Transport{
		Protocols:   &protocols,
		DialContext: dial,
		DialTLSContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			return s.conns.dialTLS(ctx, network, address, isHTTP2)
		},
		HTTP2: &http.HTTP2Config{
			MaxReceiveBufferPerStream:     config.streamWindow,
			MaxReceiveBufferPerConnection: config.connWindow,
			MaxReadFrameSize:              maxHTTP2Frame,
			SendPingTimeout:               config.pingInterval,
			PingTimeout:                   config.pingTimeout,
		},
		DisableCompression:     true, // of RPCs as a whole, which nobody expects
		MaxResponseHeaderBytes: maxRPCHead,
		MaxIdleConnsPerHost:    64,
		IdleConnTimeout:        90 * time.Second,
		ReadBufferSize:         32 << 10,
		WriteBufferSize:        32 << 10,
	}
}

// maxHTTP2Frame is how much of a response comes in one frame of HTTP/2, in bytes.
// net/http's 16 KiB are 64 writes and reads a MiB.
const maxHTTP2Frame = 512 << 10

// maxRPCHead bounds the head of an RPC's response, and its trailers, in bytes.
const maxRPCHead = 1 << 20

func errTransportClosed() *Error {
	return &Error{Cause: culvertv1.Cause_CAUSE_CANCELED, NotStarted: true, Err: ErrTransportClosed}
}
