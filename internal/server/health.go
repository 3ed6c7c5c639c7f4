package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"sync"

	"connectrpc.com/connect"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/protobuf/reflect/protoreflect"
)

const healthService = "grpc.health.v1.Health"

// Bounds of the RPCs of Watch that are open at the same time, in all and of one
// address: everybody may watch, and nobody may keep others from it, who would take
// that for the end of the server.
const (
	maxWatches        = 1000
	maxWatchesPerPeer = 100
)

// Health serves grpc.health.v1, the [health checking protocol] of gRPC, for a
// fixed set of services and for the server as a whole, whose name is empty. Its
// methods may be called concurrently.
//
// [health checking protocol]: https://github.com/grpc/grpc/blob/master/doc/health-checking.md
type Health struct {
	mu       sync.Mutex
	statuses map[string]healthpb.HealthCheckResponse_ServingStatus
	draining bool
	watches  map[netip.Addr]int // by address, the zero Addr where there is none
	watched  int                // in all
	// changed is closed, and replaced, when a status changes.
	changed chan struct{}
}

// NewHealth returns a Health in which services, and the server as a whole, are
// SERVING.
func NewHealth(services ...string) *Health {
	h := &Health{
		statuses: map[string]healthpb.HealthCheckResponse_ServingStatus{
			"": healthpb.HealthCheckResponse_SERVING,
		},
		watches: make(map[netip.Addr]int),
		changed: make(chan struct{}),
	}
	for _, service := range services {
		h.statuses[service] = healthpb.HealthCheckResponse_SERVING
	}
	return h
}

// SetServing sets the status of every service to SERVING or NOT_SERVING. After
// [Health.Drain] it does nothing.
func (h *Health) SetServing(serving bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.draining {
		h.setLocked(serving)
	}
}

// Drain sets the status of every service to NOT_SERVING for good.
func (h *Health) Drain() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.draining = true
	h.setLocked(false)
}

// Serving reports whether the server as a whole is SERVING.
func (h *Health) Serving() bool {
	status, _, _ := h.status("")
	return status == healthpb.HealthCheckResponse_SERVING
}

func (h *Health) setLocked(serving bool) {
	status := healthpb.HealthCheckResponse_NOT_SERVING
	if serving {
		status = healthpb.HealthCheckResponse_SERVING
	}
	for service := range h.statuses {
		h.statuses[service] = status
	}
	close(h.changed)
	h.changed = make(chan struct{})
}

// status returns the status of service, whether it is known at all, and a channel
// that is closed when it may have changed.
func (h *Health) status(service string) (healthpb.HealthCheckResponse_ServingStatus, bool, <-chan struct{}) {
	h.mu.Lock()
	defer h.mu.Unlock()
	status, known := h.statuses[service]
	return status, known, h.changed
}

// handler returns the pattern and the handler of the service. Watches end when
// closing is done.
func (h *Health) handler(closing context.Context, opts ...connect.HandlerOption) (string, http.Handler) {
	methods := healthpb.File_grpc_health_v1_health_proto.Services().ByName("Health").Methods()
	with := func(method protoreflect.Name) connect.HandlerOption {
		return connect.WithHandlerOptions(append(slices.Clip(opts),
			connect.WithSchema(methods.ByName(method)))...)
	}
	mux := http.NewServeMux()
	mux.Handle(healthpb.Health_Check_FullMethodName, connect.NewUnaryHandler(
		healthpb.Health_Check_FullMethodName, h.check, with("Check")))
	mux.Handle(healthpb.Health_List_FullMethodName, connect.NewUnaryHandler(
		healthpb.Health_List_FullMethodName, h.list, with("List")))
	watch := func(ctx context.Context, req *connect.Request[healthpb.HealthCheckRequest],
		stream *connect.ServerStream[healthpb.HealthCheckResponse],
	) error {
		var peer netip.Addr
		if addr, err := netip.ParseAddrPort(req.Peer().Addr); err == nil {
			peer = peerOf(net.TCPAddrFromAddrPort(addr))
		}
		return h.watch(ctx, closing, peer, req.Msg.GetService(), stream.Send)
	}
	mux.Handle(healthpb.Health_Watch_FullMethodName, connect.NewServerStreamHandler(
		healthpb.Health_Watch_FullMethodName, watch, with("Watch")))
	return "/" + healthService + "/", mux
}

func (h *Health) check(_ context.Context, req *connect.Request[healthpb.HealthCheckRequest]) (*connect.Response[healthpb.HealthCheckResponse], error) {
	status, known, _ := h.status(req.Msg.GetService())
	if !known {
		return nil, connect.NewError(connect.CodeNotFound,
			fmt.Errorf("unknown service %q", req.Msg.GetService()))
	}
	return connect.NewResponse(&healthpb.HealthCheckResponse{Status: status}), nil
}

func (h *Health) list(context.Context, *connect.Request[healthpb.HealthListRequest]) (*connect.Response[healthpb.HealthListResponse], error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	statuses := make(map[string]*healthpb.HealthCheckResponse, len(h.statuses))
	for service, status := range h.statuses {
		statuses[service] = &healthpb.HealthCheckResponse{Status: status}
	}
	return connect.NewResponse(&healthpb.HealthListResponse{Statuses: statuses}), nil
}

// watch sends a peer the status of service now and whenever it changes.
func (h *Health) watch(
	ctx, closing context.Context, peer netip.Addr, service string, send func(*healthpb.HealthCheckResponse) error,
) error {
	if !h.addWatch(peer) {
		return connect.NewError(connect.CodeResourceExhausted, errors.New("too many watches"))
	}
	defer h.removeWatch(peer)
	sent := healthpb.HealthCheckResponse_UNKNOWN
	for last := false; ; {
		status, known, changed := h.status(service)
		if !known {
			status = healthpb.HealthCheckResponse_SERVICE_UNKNOWN
		}
		if status != sent {
			if err := send(&healthpb.HealthCheckResponse{Status: status}); err != nil {
				return err
			}
			sent = status
		}
		if last {
			return connect.NewError(connect.CodeUnavailable, errClosing)
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		case <-closing.Done():
			// Once more round: the change to NOT_SERVING came just before this.
			last = true
		}
	}
}

func (h *Health) addWatch(peer netip.Addr) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.watched >= maxWatches || peer.IsValid() && h.watches[peer] >= maxWatchesPerPeer {
		return false
	}
	h.watched++
	h.watches[peer]++
	return true
}

func (h *Health) removeWatch(peer netip.Addr) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.watched--
	if h.watches[peer]--; h.watches[peer] == 0 {
		delete(h.watches, peer)
	}
}
