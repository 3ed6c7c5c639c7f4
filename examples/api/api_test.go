package main

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/culvert-http/culvert"
	demov1 "github.com/culvert-http/culvert/examples/api/gen/demo/v1"
	"github.com/culvert-http/culvert/examples/api/gen/demo/v1/demov1connect"
	"github.com/culvert-http/culvert/internal/readme"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// start serves everything until the test is over, or stop is called, and returns
// its address.
func start(t *testing.T) (address string, stop func()) {
	t.Helper()
	var config net.ListenConfig
	listener, err := config.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- newServer().serve(ctx, listener) }()
	t.Cleanup(func() {
		cancel()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return listener.Addr().String(), cancel
}

// newClient returns a client of HTTP/2 without TLS.
func newClient(t *testing.T) *http.Client {
	t.Helper()
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	transport := &http.Transport{Protocols: protocols}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: time.Minute}
}

// The tour of README.md, word by word but for the port and the folder.
func TestTour(t *testing.T) {
	readme.NeedTools(t)
	address, _ := start(t)
	steps := readme.Steps(t, "README.md", "## The API by JSON", "")
	if len(steps) < 13 {
		t.Fatalf("found %d commands", len(steps))
	}
	for _, step := range steps {
		step.Check(t, "localhost:8080", address, "./cmd/culvert", "../../cmd/culvert")
	}
}

func TestAdd(t *testing.T) {
	address, _ := start(t)
	protocols := map[string]connect.ClientOption{
		"connect": connect.WithClientOptions(), "connect json": connect.WithProtoJSON(),
		"grpc": connect.WithGRPC(), "grpc-web": connect.WithGRPCWeb(),
	}
	for name, protocol := range protocols {
		t.Run(name, func(t *testing.T) {
			client := demov1connect.NewDemoServiceClient(newClient(t), "http://"+address, protocol)
			for _, test := range []struct {
				a, b, sum int32
				code      connect.Code // 0 for none
				fields    []string
			}{
				{a: 2, b: 5, sum: 7},
				{a: 0, b: 5, sum: 5},
				{a: 1<<31 - 1, sum: 1<<31 - 1},
				{a: 1<<31 - 1, b: 1, code: connect.CodeOutOfRange},
				{code: connect.CodeInvalidArgument, fields: []string{"a", "b"}},
				{a: -1, b: 2, code: connect.CodeInvalidArgument, fields: []string{"a"}},
				{a: -1 << 31, b: -1, code: connect.CodeInvalidArgument, fields: []string{"a", "b"}},
			} {
				response, err := client.Add(t.Context(), connect.NewRequest(&demov1.AddRequest{A: test.a, B: test.b}))
				if test.code != 0 {
					if connect.CodeOf(err) != test.code {
						t.Errorf("%d and %d: %v, want %s", test.a, test.b, err, test.code)
					}
					if diff := cmp.Diff(test.fields, violated(t, err)); diff != "" {
						t.Errorf("%d and %d: fields in the details (-want +got):\n%s", test.a, test.b, diff)
					}
					continue
				}
				if err != nil || response.Msg.GetO() != test.sum {
					t.Errorf("%d and %d: %d, %v", test.a, test.b, response.Msg.GetO(), err)
				}
			}
		})
	}
}

// violated returns the fields in the details of an error.
func violated(t *testing.T, err error) []string {
	t.Helper()
	var fields []string
	var rpcErr *connect.Error
	if !errors.As(err, &rpcErr) {
		return nil
	}
	for _, detail := range rpcErr.Details() {
		value, err := detail.Value()
		if err != nil {
			t.Fatal(err)
		}
		for _, violation := range value.(*errdetails.BadRequest).GetFieldViolations() {
			fields = append(fields, violation.GetField())
		}
	}
	return fields
}

// The application sees what it would see from net/http.
func TestApplication(t *testing.T) {
	address, _ := start(t)
	transport, err := culvert.NewTransport("http://" + address)
	if err != nil {
		t.Fatal(err)
	}
	defer transport.Close()
	client := &http.Client{Transport: transport}
	response, err := client.Post("http://app.example/greet", "application/x-www-form-urlencoded", strings.NewReader("name=you"))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK || string(body) != "hello, you\n" {
		t.Errorf("%s, %q, %v", response.Status, body, err)
	}
}

// Who watches hears of the end before it comes, and does not hold it up.
func TestHealthEnds(t *testing.T) {
	address, stop := start(t)
	watch := connect.NewClient[healthpb.HealthCheckRequest, healthpb.HealthCheckResponse](
		newClient(t), "http://"+address+healthpb.Health_Watch_FullMethodName, connect.WithGRPC())
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	stream, err := watch.CallServerStream(ctx, connect.NewRequest(&healthpb.HealthCheckRequest{Service: culvert.ServiceName}))
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	for i, want := range []healthpb.HealthCheckResponse_ServingStatus{
		healthpb.HealthCheckResponse_SERVING, healthpb.HealthCheckResponse_NOT_SERVING,
	} {
		if !stream.Receive() || stream.Msg().GetStatus() != want {
			t.Fatalf("status %d: %s, %v; want %s", i, stream.Msg().GetStatus(), stream.Err(), want)
		}
		stop()
	}
	if stream.Receive() || connect.CodeOf(stream.Err()) != connect.CodeUnavailable {
		t.Errorf("after the end: %v, %v", stream.Msg(), stream.Err())
	}
}
