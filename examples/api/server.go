package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"connectrpc.com/grpcreflect"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/culvert-http/culvert"
	"github.com/culvert-http/culvert/examples/api/gen/demo/v1/demov1connect"
)

// grace is how long exchanges may go on after the server was told to stop.
const grace = 20 * time.Second

// server is everything on one port.
type server struct {
	http   *http.Server
	tunnel *culvert.Handler
	health *health.Server
	// stopWatches ends the RPCs that would never end by themselves.
	stopWatches context.CancelFunc
}

func newServer() *server {
	s := &server{health: health.NewServer()}
	var closing context.Context
	closing, s.stopWatches = context.WithCancel(context.Background())
	mux := http.NewServeMux()

	// The API, in gRPC, gRPC-Web and Connect, which is plain JSON by POST.
	pattern, demo := demov1connect.NewDemoServiceHandler(demoService{})
	mux.Handle(pattern, demo)
	mux.HandleFunc("POST /api/add", func(w http.ResponseWriter, r *http.Request) {
		r.URL.Path = demov1connect.DemoServiceAddProcedure // the same, by a name that is easier to type
		demo.ServeHTTP(w, r)
	})

	// The application, through the tunnel.
	pattern, s.tunnel = culvert.NewHandler(newApp())
	mux.Handle(pattern, s.tunnel)

	services := []string{demov1connect.DemoServiceName, culvert.ServiceName}
	for _, service := range services {
		s.health.SetServingStatus(service, healthpb.HealthCheckResponse_SERVING)
	}
	mux.Handle(newHealthHandler(closing, s.health))

	reflector := grpcreflect.NewStaticReflector(append(services, healthpb.Health_ServiceDesc.ServiceName)...)
	mux.Handle(grpcreflect.NewHandlerV1(reflector))
	mux.Handle(grpcreflect.NewHandlerV1Alpha(reflector))

	// gRPC needs HTTP/2, which a server without TLS has to allow. With net/http's
	// own windows one upload that nobody reads holds up its connection.
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	s.http = &http.Server{
		Handler:           mux,
		Protocols:         protocols,
		HTTP2:             &http.HTTP2Config{MaxReceiveBufferPerStream: 4 << 20, MaxReceiveBufferPerConnection: 64 << 20},
		ReadHeaderTimeout: 10 * time.Second,
	}
	return s
}

// serve serves until ctx is done, and lets what runs then finish.
func (s *server) serve(ctx context.Context, listener net.Listener) error {
	stopped := make(chan error, 1)
	stop := context.AfterFunc(ctx, func() { stopped <- s.shutdown(context.WithoutCancel(ctx)) })
	if err := s.http.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		stop()
		return fmt.Errorf("serve: %w", err)
	}
	return <-stopped
}

// shutdown tells those who watch first, then those who come anew, and then waits.
// The tunnel before net/http, which would lose requests that cannot be sent twice.
func (s *server) shutdown(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, grace)
	defer cancel()
	s.health.Shutdown()
	err := s.tunnel.Shutdown(ctx)
	s.stopWatches()
	if err = errors.Join(err, s.http.Shutdown(ctx)); err != nil {
		_ = s.http.Close()
		return fmt.Errorf("shut down: %w", err)
	}
	return nil
}
