package server

import (
	"context"
	"errors"
	"io"
	"net/http"
	"testing"

	"connectrpc.com/connect"
	"github.com/culvert-http/culvert"
	culvertv1 "github.com/culvert-http/culvert/api/culvert/v1"
	"github.com/culvert-http/culvert/api/culvert/v1/culvertv1connect"
)

// slowApp answers /slow when it is released, and everything else at once.
type slowApp struct{ started, release chan struct{} }

func newSlowApp() *slowApp {
	return &slowApp{started: make(chan struct{}), release: make(chan struct{})}
}

func (a *slowApp) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/slow" {
		close(a.started)
		select {
		case <-a.release:
		case <-r.Context().Done():
		}
	}
	_, _ = io.WriteString(w, "done")
}

func call(ctx context.Context, client culvertv1connect.HTTPServiceClient, path string) (*culvertv1.HTTPResponse, error) {
	resp, err := client.Call(ctx, connect.NewRequest(&culvertv1.HTTPRequest{Path: path}))
	if err != nil {
		return nil, err
	}
	return resp.Msg, nil
}

func TestShutdownLetsExchangesFinishAndRefusesNewOnes(t *testing.T) {
	app := newSlowApp()
	config := tunnelConfig(app)
	srv, addr := start(t, config, anyPort)
	client := culvertv1connect.NewHTTPServiceClient(newClient(t, true), "http://"+addr, connect.WithGRPC())
	ctx := testContext(t)

	slow := make(chan error, 1)
	go func() {
		resp, err := call(ctx, client, "/slow")
		if err == nil && string(resp.GetBody()) != "done" {
			err = errors.New("body is " + string(resp.GetBody()))
		}
		slow <- err
	}()
	<-app.started
	shutdown := make(chan error, 1)
	go func() { shutdown <- srv.Shutdown(ctx) }()

	// Connections still answer: what is new is refused so that it can be moved.
	refusal := untilRefused(ctx, client)
	if connect.CodeOf(refusal) != connect.CodeUnavailable {
		t.Fatalf("a new exchange: %v, want code unavailable", refusal)
	}
	if detail := tunnelError(refusal); detail.GetCause() != culvertv1.Cause_CAUSE_DRAINING || !detail.GetNotStarted() {
		t.Errorf("a new exchange: detail %v, want draining, not started", detail)
	}
	if config.Health.Serving() {
		t.Error("health is SERVING while the server drains")
	}
	select {
	case err := <-shutdown:
		t.Fatalf("Shutdown() = %v before the exchange ended", err)
	default:
	}

	close(app.release)
	if err := <-slow; err != nil {
		t.Errorf("the exchange that ran: %v", err)
	}
	if err := <-shutdown; err != nil {
		t.Errorf("Shutdown() = %v", err)
	}
}

func untilRefused(ctx context.Context, client culvertv1connect.HTTPServiceClient) error {
	for {
		if _, err := call(ctx, client, "/fast"); err != nil {
			return err
		}
	}
}

func tunnelError(err error) *culvertv1.TunnelError {
	connectErr, ok := errors.AsType[*connect.Error](err)
	if !ok {
		return nil
	}
	for _, detail := range connectErr.Details() {
		if value, err := detail.Value(); err == nil {
			if tunnelErr, ok := value.(*culvertv1.TunnelError); ok {
				return tunnelErr
			}
		}
	}
	return nil
}

func TestShutdownCutsOffAtTheEndOfTheGrace(t *testing.T) {
	app := newSlowApp()
	srv, addr := start(t, tunnelConfig(app), anyPort)
	client := culvertv1connect.NewHTTPServiceClient(newClient(t, true), "http://"+addr, connect.WithGRPC())
	slow := make(chan error, 1)
	go func() {
		_, err := call(testContext(t), client, "/slow")
		slow <- err
	}()
	<-app.started
	grace, end := context.WithCancel(t.Context())
	end()
	if err := srv.Shutdown(grace); !errors.Is(err, context.Canceled) {
		t.Errorf("Shutdown() = %v, want that of its context", err)
	}
	if err := <-slow; err == nil {
		t.Error("the exchange that was cut off succeeded")
	}
}

var _ Drainer = (*culvert.Handler)(nil)
