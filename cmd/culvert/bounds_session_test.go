package main

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strconv"
	"sync"
	"testing"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"

	"github.com/culvert-http/culvert"
	culvertv1 "github.com/culvert-http/culvert/api/culvert/v1"
	"github.com/culvert-http/culvert/api/culvert/v1/culvertv1connect"
)

// The windows that a session begins with, in bytes.
const (
	exchangeWindow = 256 << 10
	sessionWindow  = 8 << 20
)

// flood sends as much of several exchanges of a session as it has credit for.
type flood struct {
	credit int
	each   map[uint64]int
	sent   int
	send   func(id uint64, data []byte) (cost int, err error)
	ping   func() error
	// next returns the next frame that the other end has sent.
	next func() (id, credit uint64, pong bool, err error)
}

// run ends when all windows are full, or the session's is and the other end has
// nothing to say to that.
func (f *flood) run() error {
	data := make([]byte, 16<<10)
	for {
		for id := range f.each {
			for f.credit > 0 && f.each[id] > 0 {
				cost, err := f.send(id, data)
				if err != nil {
					return err
				}
				f.sent += cost
				f.credit -= cost
				f.each[id] -= cost
			}
		}
		if f.credit > 0 {
			return nil
		}
		if err := f.ping(); err != nil {
			return err
		}
		for pong := false; !pong; {
			id, credit, isPong, err := f.next()
			if err != nil {
				return err
			}
			switch pong = isPong; {
			case id == 0:
				f.credit += int(credit)
			default:
				f.each[id] += int(credit)
			}
		}
		if f.credit <= 0 {
			return nil
		}
	}
}

// Clients that have sessions do not keep others out, who do without.
func testMaxSessions(t *testing.T) {
	addr := startBoundServe(t, newBoundApp(), "--max-sessions=1")
	rt := newBoundTransport(t, addr, culvert.WithMethod(culvert.MethodSession))
	get(t, rt, addr, "/").wantOK(t)
	get(t, newBoundTransport(t, addr, culvert.WithMethod(culvert.MethodSession)), addr, "/").
		wantCause(t, culvertv1.Cause_CAUSE_TOO_MANY_EXCHANGES)
	auto := newBoundTransport(t, addr)
	for range 10 {
		get(t, auto, addr, "/").wantOK(t)
	}
	get(t, rt, addr, "/").wantOK(t)
	must(t, rt.Close())
	until(t, "room for another", func() bool {
		rt := newBoundTransport(t, addr, culvert.WithMethod(culvert.MethodSession))
		return get(t, rt, addr, "/").err == nil
	})
}

// Exchanges that wait for their turn to run are not read.
func testMaxSessionBytes(t *testing.T) {
	const running, waiting, most = 60, 60, 12 << 20
	app := newBoundApp()
	defer app.letGo()
	addr := startBoundServe(t, app,
		"--max-session-bytes=12MiB", "--max-exchanges="+strconv.Itoa(running), "--max-wait=1h")
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	stream := newConnectClient(addr, connect.WithGRPC()).Session(ctx)
	defer context.AfterFunc(ctx, func() {
		_ = stream.CloseRequest()
		_ = stream.CloseResponse()
	})()
	say := func(frames ...*culvertv1.ClientFrame) error {
		return stream.Send(&culvertv1.SessionRequest{Frames: frames})
	}
	var heard []*culvertv1.ServerFrame
	f := &flood{credit: sessionWindow, each: map[uint64]int{}}
	f.send = func(id uint64, data []byte) (int, error) {
		part := &culvertv1.RequestFrame{Data: data}
		return proto.Size(part) + 32, say(&culvertv1.ClientFrame{Exchange: id, Part: part})
	}
	f.ping = func() error { return say(&culvertv1.ClientFrame{Ping: &culvertv1.Ping{Number: 1}}) }
	f.next = func() (id, credit uint64, pong bool, err error) {
		for len(heard) == 0 {
			message, err := stream.Receive()
			if err != nil {
				return 0, 0, false, err
			}
			heard = message.GetFrames()
		}
		frame := heard[0]
		heard = heard[1:]
		pong = frame.GetPing().GetAnswer() && len(heard) == 0 // what comes with it counts
		if frame.GetPing().GetAnswer() && !pong {
			heard = append(heard, frame)
		}
		return frame.GetExchange(), frame.GetCredit(), pong, nil
	}
	must(t, say(&culvertv1.ClientFrame{Hello: &culvertv1.Hello{Version: 1, Window: exchangeWindow}}))
	open := func(n int, head *culvertv1.RequestHead, end bool) {
		part := &culvertv1.RequestFrame{Head: head, End: end}
		must(t, say(&culvertv1.ClientFrame{Exchange: uint64(2*n + 1), Part: part}))
		f.credit -= proto.Size(part) + 32
		f.sent += proto.Size(part) + 32
	}
	for n := range running {
		open(n, &culvertv1.RequestHead{Path: "/hold"}, true)
		await(t, "the application", app.begun)
	}
	for n := running; n < running+waiting; n++ {
		open(n, &culvertv1.RequestHead{Method: http.MethodPost, Path: "/"}, false)
		f.each[uint64(2*n+1)] = exchangeWindow - 1<<10
	}
	must(t, f.run())
	if slack := 64 << 10; f.sent > most+slack || f.sent < most-slack-sessionWindow/2 {
		t.Errorf("%d bytes were taken that nobody read, want %d at most", f.sent, most)
	}
	must(t, stream.CloseRequest())
	_ = stream.CloseResponse()
}

func testGatewayMaxSessionBytes(t *testing.T) {
	const clients = 90 // which one session takes, where there is one processor
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	taken := make(chan int, 1)
	mux := http.NewServeMux()
	mux.Handle(culvertv1connect.NewHTTPServiceHandler(&floodServer{exchanges: clients, taken: taken}))
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	protocols.SetHTTP1(true)
	srv := httptest.NewUnstartedServer(mux)
	srv.Config.Protocols = protocols
	srv.Start()
	t.Cleanup(srv.Close) // after the gateway
	addr := startGatewayTo(t, srv.URL, "--method=session", "--max-session-bytes=8MiB", "--stall-timeout=0")

	only2 := new(http.Protocols)
	only2.SetUnencryptedHTTP2(true)
	rt := &http.Transport{Protocols: only2, HTTP2: &http.HTTP2Config{MaxReceiveBufferPerStream: 1}}
	defer rt.CloseIdleConnections()
	ctx, cancel := context.WithCancel(t.Context())
	var asking sync.WaitGroup
	defer asking.Wait()
	defer cancel()
	for range clients {
		asking.Go(func() {
			r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+"/", nil)
			if err != nil {
				t.Error(err)
				return
			}
			resp, err := rt.RoundTrip(r)
			if err != nil {
				t.Error(err)
				return
			}
			<-ctx.Done() // and nothing is read
			_ = resp.Body.Close()
		})
	}
	got := await(t, "the server", taken)
	// The gateway holds a few pieces of each response itself.
	if most := sessionWindow + clients*(80<<10); got > most || got < sessionWindow {
		t.Errorf("%d bytes were taken that nobody read, want %d at most", got, most)
	}
}

// floodServer answers the exchanges of a session with bodies without end.
type floodServer struct {
	culvertv1connect.UnimplementedHTTPServiceHandler
	exchanges int
	taken     chan<- int
}

// Session implements culvertv1connect.HTTPServiceHandler.
func (s *floodServer) Session(
	_ context.Context, stream *connect.BidiStream[culvertv1.SessionRequest, culvertv1.SessionResponse],
) error {
	say := func(frames ...*culvertv1.ServerFrame) error {
		return stream.Send(&culvertv1.SessionResponse{Frames: frames})
	}
	var heard []*culvertv1.ClientFrame
	f := &flood{credit: sessionWindow, each: map[uint64]int{}}
	f.send = func(id uint64, data []byte) (int, error) {
		part := &culvertv1.ResponseFrame{Data: data}
		return proto.Size(part) + 32, say(&culvertv1.ServerFrame{Exchange: id, Part: part})
	}
	f.ping = func() error { return say(&culvertv1.ServerFrame{Ping: &culvertv1.Ping{Number: 1}}) }
	f.next = func() (id, credit uint64, pong bool, err error) {
		for len(heard) == 0 {
			message, err := stream.Receive()
			if err != nil {
				return 0, 0, false, err
			}
			heard = message.GetFrames()
		}
		frame := heard[0]
		heard = heard[1:]
		if frame.GetPart() != nil {
			f.each[frame.GetExchange()] = exchangeWindow
		}
		if frame.GetPing() != nil && !frame.GetPing().GetAnswer() {
			if err := say(&culvertv1.ServerFrame{Ping: &culvertv1.Ping{Number: frame.GetPing().GetNumber(), Answer: true}}); err != nil {
				return 0, 0, false, err
			}
		}
		return frame.GetExchange(), frame.GetCredit(), frame.GetPing().GetAnswer(), nil
	}
	err := say(&culvertv1.ServerFrame{Hello: &culvertv1.Hello{Version: 1, Window: exchangeWindow, MaxExchanges: 1000, Recommended: true}})
	for err == nil && len(f.each) < s.exchanges {
		if _, _, _, err = f.next(); err != nil {
			return err
		}
	}
	for id := range f.each {
		part := &culvertv1.ResponseFrame{Head: &culvertv1.ResponseHead{Status: http.StatusOK}}
		if err := say(&culvertv1.ServerFrame{Exchange: id, Part: part}); err != nil {
			return err
		}
		f.credit -= proto.Size(part) + 32
		f.each[id] -= proto.Size(part) + 32
	}
	if err := f.run(); err != nil {
		return err
	}
	s.taken <- f.sent
	for err == nil {
		_, err = stream.Receive()
	}
	if err == io.EOF {
		return nil
	}
	return err
}
