package peer

import (
	"context"
	"fmt"
	"math"
	"net/http"

	"github.com/grafana/dskit/httpgrpc"
	"github.com/grafana/dskit/httpgrpc/server"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/culvert-http/culvert/bench/internal/app"
)

// dskitRoute makes exchanges by the client that dskit generates, without the
// telemetry that its own constructor adds, and without an http.Request of which
// the message would be made first.
type dskitRoute struct{ client httpgrpc.HTTPClient }

func openDskit(app http.Handler, closers *closers) (route, error) {
	client, err := newDskitClient(app, closers)
	if err != nil {
		return nil, err
	}
	return dskitRoute{client}, nil
}

func newDskitClient(app http.Handler, closers *closers) (httpgrpc.HTTPClient, error) {
	conn, err := connectGRPC(func(s *grpc.Server) { httpgrpc.RegisterHTTPServer(s, server.NewServer(app)) }, closers)
	if err != nil {
		return nil, err
	}
	return httpgrpc.NewHTTPClient(conn), nil
}

// connectGRPC serves on grpc-go, and connects to it. Messages may be as large as
// bodies are: dskit's are whole.
func connectGRPC(register func(*grpc.Server), closers *closers) (*grpc.ClientConn, error) {
	listener, err := listen()
	if err != nil {
		return nil, err
	}
	s := grpc.NewServer(grpc.MaxRecvMsgSize(math.MaxInt32))
	register(s)
	served := make(chan error, 1)
	go func() { served <- s.Serve(listener) }()
	closers.add(func() error { s.Stop(); return <-served })
	conn, err := grpc.NewClient("passthrough:///"+listener.Addr().String(),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(math.MaxInt32)))
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	closers.add(conn.Close)
	return conn, nil
}

func (r dskitRoute) worker(work app.Work) (Worker, error) {
	w := &dskitWorker{client: r.client, work: work}
	if work.Up > 0 {
		w.body = app.Fill(work.Up)
	}
	return w, nil
}

type dskitWorker struct {
	client httpgrpc.HTTPClient
	work   app.Work
	body   []byte
}

// Exchange implements Worker.
func (w *dskitWorker) Exchange() error {
	headers := make([]*httpgrpc.Header, len(app.Fields))
	for i, field := range app.Fields {
		headers[i] = &httpgrpc.Header{Key: field.Name, Values: []string{field.Value}}
	}
	response, err := w.client.Handle(context.Background(), &httpgrpc.HTTPRequest{
		Method:  w.work.Method(),
		Url:     w.work.Path(),
		Headers: headers,
		Body:    w.body,
	})
	if err != nil {
		return fmt.Errorf("call: %w", err)
	}
	if response.Code != http.StatusOK {
		return fmt.Errorf("check answer: status %d: %.100s", response.Code, response.Body)
	}
	if w.work.Down == 0 {
		return compareAnswer(response.Body)
	}
	var checker app.Checker
	if err := checker.Add(response.Body); err != nil {
		return err
	}
	return checker.End(w.work.Down)
}

// Close implements Worker.
func (*dskitWorker) Close() error { return nil }

// openDskitGateway has the handler of dskit's own client in front, again without
// its telemetry.
func openDskitGateway(app http.Handler, closers *closers) (route, error) {
	client, err := newDskitClient(app, closers)
	if err != nil {
		return nil, err
	}
	return openFront(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		request, err := httpgrpc.FromHTTPRequest(r)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		response, err := client.Handle(r.Context(), request)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		_ = httpgrpc.WriteResponse(w, response) // the client has gone
	}), closers)
}
