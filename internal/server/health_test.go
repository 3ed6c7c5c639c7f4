package server

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"net/netip"
	"testing"

	"connectrpc.com/connect"
	"github.com/culvert-http/culvert"
	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
)

const (
	serving    = healthpb.HealthCheckResponse_SERVING
	notServing = healthpb.HealthCheckResponse_NOT_SERVING
)

func TestHealthCheck(t *testing.T) {
	config := tunnelConfig(http.NotFoundHandler())
	_, addr := start(t, config, anyPort)
	client := healthpb.NewHealthClient(dialGRPC(t, addr))
	for _, test := range []struct {
		service string
		serving bool
		want    healthpb.HealthCheckResponse_ServingStatus
	}{
		{"", true, serving},
		{culvert.ServiceName, true, serving},
		{"", false, notServing},
		{culvert.ServiceName, false, notServing},
	} {
		config.Health.SetServing(test.serving)
		got, err := client.Check(testContext(t), &healthpb.HealthCheckRequest{Service: test.service})
		if err != nil || got.GetStatus() != test.want {
			t.Errorf("Check(%q) = %v, %v, want %v", test.service, got.GetStatus(), err, test.want)
		}
		if config.Health.Serving() != test.serving {
			t.Errorf("Serving() = %v, want %v", !test.serving, test.serving)
		}
	}
	_, err := client.Check(testContext(t), &healthpb.HealthCheckRequest{Service: "other"})
	if status.Code(err) != codes.NotFound {
		t.Errorf("Check of an unknown service: %v, want code NotFound", err)
	}
}

func TestHealthList(t *testing.T) {
	_, addr := start(t, tunnelConfig(http.NotFoundHandler()), anyPort)
	got, err := healthpb.NewHealthClient(dialGRPC(t, addr)).List(testContext(t), &healthpb.HealthListRequest{})
	if err != nil {
		t.Fatal(err)
	}
	statuses := map[string]healthpb.HealthCheckResponse_ServingStatus{}
	for service, status := range got.GetStatuses() {
		statuses[service] = status.GetStatus()
	}
	want := map[string]healthpb.HealthCheckResponse_ServingStatus{"": serving, culvert.ServiceName: serving}
	if !maps.Equal(statuses, want) {
		t.Errorf("List() = %v, want %v", statuses, want)
	}
}

func TestHealthOfConnectClients(t *testing.T) {
	_, addr := start(t, tunnelConfig(http.NotFoundHandler()), anyPort)
	for name, opts := range map[string][]connect.ClientOption{
		"connect":      nil,
		"connect json": {connect.WithProtoJSON()},
		"grpc-web":     {connect.WithGRPCWeb()},
	} {
		t.Run(name, func(t *testing.T) {
			client := connect.NewClient[healthpb.HealthCheckRequest, healthpb.HealthCheckResponse](
				newClient(t, false), "http://"+addr+healthpb.Health_Check_FullMethodName, opts...)
			got, err := client.CallUnary(testContext(t), connect.NewRequest(&healthpb.HealthCheckRequest{}))
			if err != nil || got.Msg.GetStatus() != serving {
				t.Errorf("Check() = %v, %v, want SERVING", got, err)
			}
		})
	}
}

func TestHealthWatchSendsEveryChange(t *testing.T) {
	config := tunnelConfig(http.NotFoundHandler())
	_, addr := start(t, config, anyPort)
	stream := watchHealth(t, addr, "")
	expectStatus(t, stream, serving)
	config.Health.SetServing(true) // No change: nothing is sent.
	config.Health.SetServing(false)
	expectStatus(t, stream, notServing)
	config.Health.SetServing(true)
	expectStatus(t, stream, serving)
}

func TestHealthWatchOfAnUnknownServiceGoesOn(t *testing.T) {
	config := tunnelConfig(http.NotFoundHandler())
	srv, addr := start(t, config, anyPort)
	stream := watchHealth(t, addr, "other")
	expectStatus(t, stream, healthpb.HealthCheckResponse_SERVICE_UNKNOWN)
	if err := srv.Shutdown(testContext(t)); err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Recv(); status.Code(err) != codes.Unavailable {
		t.Errorf("after Shutdown: %v, want code Unavailable", err)
	}
}

func TestHealthWatchIsToldOfTheDrainAndEnds(t *testing.T) {
	srv, addr := start(t, tunnelConfig(http.NotFoundHandler()), anyPort)
	stream := watchHealth(t, addr, culvert.ServiceName)
	expectStatus(t, stream, serving)
	if err := srv.Shutdown(testContext(t)); err != nil {
		t.Fatal(err)
	}
	expectStatus(t, stream, notServing)
	if _, err := stream.Recv(); status.Code(err) != codes.Unavailable {
		t.Errorf("after NOT_SERVING: %v, want code Unavailable", err)
	}
}

func TestHealthStaysDrained(t *testing.T) {
	health := NewHealth()
	health.Drain()
	health.SetServing(true)
	if health.Serving() {
		t.Error("Serving() after Drain and SetServing(true)")
	}
}

func TestHealthBoundsWatches(t *testing.T) {
	health := NewHealth()
	peer := netip.IPv4Unspecified()
	for i := range maxWatches {
		if i%maxWatchesPerPeer == 0 {
			peer = peer.Next()
		}
		if !health.addWatch(peer) {
			t.Fatal("a watch below the bound was refused")
		}
	}
	watch := func() error {
		return health.watch(t.Context(), context.Background(), peer.Next(), "",
			func(*healthpb.HealthCheckResponse) error { return context.Canceled })
	}
	if err := watch(); connect.CodeOf(err) != connect.CodeResourceExhausted {
		t.Errorf("watch over the bound: %v, want code resource_exhausted", err)
	}
	health.removeWatch(peer)
	if err := watch(); !errors.Is(err, context.Canceled) {
		t.Errorf("watch at the bound: %v, want that of its stream", err)
	}
	if health.watched != maxWatches-1 || len(health.watches) != maxWatches/maxWatchesPerPeer {
		t.Errorf("%d watches of %d addresses are counted", health.watched, len(health.watches))
	}
}

// Who watches without end keeps nobody else from it: gRPC's clients take a watch
// that fails for a server that is down.
func TestWatchesOfOneAddressLeaveRoomForOthers(t *testing.T) {
	config := tunnelConfig(http.NotFoundHandler())
	_, addr := start(t, config, anyPort)
	client := healthpb.NewHealthClient(dialGRPC(t, addr))
	for i := range maxWatchesPerPeer + 1 {
		stream, err := client.Watch(testContext(t), &healthpb.HealthCheckRequest{})
		if err != nil {
			t.Fatal(err)
		}
		_, err = stream.Recv()
		if refused := status.Code(err) == codes.ResourceExhausted; refused != (i == maxWatchesPerPeer) {
			t.Fatalf("watch %d: %v", i, err)
		}
	}
	if !config.Health.addWatch(netip.MustParseAddr("192.0.2.1")) {
		t.Error("another address may not watch")
	}
}

func watchHealth(tb testing.TB, addr, service string) healthpb.Health_WatchClient {
	tb.Helper()
	stream, err := healthpb.NewHealthClient(dialGRPC(tb, addr)).Watch(
		testContext(tb), &healthpb.HealthCheckRequest{Service: service})
	if err != nil {
		tb.Fatal(err)
	}
	return stream
}

func expectStatus(tb testing.TB, stream healthpb.Health_WatchClient, want healthpb.HealthCheckResponse_ServingStatus) {
	tb.Helper()
	got, err := stream.Recv()
	if err != nil || got.GetStatus() != want {
		tb.Fatalf("Recv() = %v, %v, want %v", got.GetStatus(), err, want)
	}
}
