package siege

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"

	"connectrpc.com/connect"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/culvert-http/culvert"
	culvertv1 "github.com/culvert-http/culvert/api/culvert/v1"
	"github.com/culvert-http/culvert/api/culvert/v1/culvertv1connect"
	"github.com/culvert-http/culvert/internal/server"
)

// attack is what one attacker does.
type attack struct {
	name string
	// bounds are those that it runs into.
	bounds bounds
	// serve and gateway say what it is an attack on.
	serve, gateway bool
	// strike returns when the attacker was cut off, or ctx is done.
	strike func(ctx context.Context, f *front) error
	// flood says that the attacker does as much as it can, and not as little.
	flood bool
	// secured has it strike over TLS as well.
	secured bool
	// mostServed bounds what runs in the application at once for a connection of
	// serve, and mostRequests what runs at the gateway for one of its.
	mostServed, mostRequests int
	// mostInAll, if not 0, says that attackers are slowed down instead of cut off, and
	// bounds what of theirs runs in the application in slowFor.
	mostInAll int64
}

var attacks = []attack{
	{
		name: "slow header, HTTP/1.1", serve: true, gateway: true, secured: true,
		bounds: bounds{server: server.Config{HeaderTimeout: short}},
		strike: slowHeader,
	},
	{
		name: "slow header, HTTP/2", serve: true, gateway: true, secured: true,
		bounds: bounds{server: server.Config{PingInterval: short}},
		strike: slowHeaderHTTP2,
	},
	{
		name: "slow body, HTTP/1.1", gateway: true,
		bounds: bounds{gateway: []culvert.GatewayOption{culvert.WithGatewayMaxDuration(2 * short)}},
		strike: slowBody,
	},
	{
		name: "slow body, HTTP/2", serve: true, gateway: true,
		bounds: bounds{
			handler: []culvert.HandlerOption{culvert.WithMaxDuration(2 * short)},
			gateway: []culvert.GatewayOption{culvert.WithGatewayMaxDuration(2 * short)},
		},
		strike: slowBodyHTTP2,
	},
	{
		name: "silent body, HTTP/1.1", gateway: true,
		bounds: bounds{gateway: []culvert.GatewayOption{culvert.WithGatewayIdleTimeout(short)}},
		strike: silentBody,
	},
	{
		name: "silent body, HTTP/2", serve: true, gateway: true,
		bounds: bounds{
			handler: []culvert.HandlerOption{culvert.WithIdleTimeout(short)},
			gateway: []culvert.GatewayOption{culvert.WithGatewayIdleTimeout(short)},
		},
		strike: silentBodyHTTP2,
	},
	{
		name: "slow message", serve: true,
		bounds: bounds{handler: []culvert.HandlerOption{culvert.WithHeadTimeout(short), culvert.WithIdleTimeout(2 * short)}},
		strike: slowMessage,
	},
	{
		name: "slow read, HTTP/1.1", serve: true, gateway: true, secured: true,
		bounds: stallBounds, strike: slowRead,
	},
	{
		name: "slow read, HTTP/2", serve: true, gateway: true, secured: true,
		bounds: stallBounds, strike: slowReadHTTP2,
	},
	{
		name: "no credit, HTTP/2", serve: true, gateway: true,
		bounds: stallBounds, strike: noCredit,
	},
	{
		name: "no credit for a small response, HTTP/2", gateway: true,
		bounds: stallBounds, strike: noCreditSmall,
	},
	{
		name: "session that is not read", serve: true,
		bounds: stallBounds, strike: unreadSession,
	},
	{
		name: "rapid reset", serve: true, gateway: true, flood: true, secured: true,
		bounds: bounds{
			server:  server.Config{MaxExchangesPerConn: 10, MaxResetsPerConn: 50},
			handler: []culvert.HandlerOption{culvert.WithMaxExchangesPerConn(10)},
		},
		mostServed: 10, mostRequests: 110, // streams have some slack
		strike: rapidReset,
	},
	{
		name: "rapid reset in a session", serve: true, flood: true, secured: true,
		bounds: bounds{
			server:  server.Config{ResetRatePerPeer: 1},
			handler: []culvert.HandlerOption{culvert.WithMaxExchangesPerConn(10)},
		},
		mostServed: 10, mostInAll: 50,
		strike: rapidResetInSession,
	},
	{name: "CONTINUATION flood", serve: true, gateway: true, flood: true, secured: true, strike: continuationFlood},
	{name: "PING flood", serve: true, gateway: true, flood: true, secured: true, strike: pingFlood},
	{name: "SETTINGS flood", serve: true, gateway: true, flood: true, secured: true, strike: settingsFlood},
	{name: "WINDOW_UPDATE flood", serve: true, gateway: true, flood: true, secured: true, strike: creditFlood},
	{name: "PRIORITY flood", serve: true, gateway: true, flood: true, secured: true, strike: priorityFlood},
	{name: "empty DATA flood", serve: true, gateway: true, flood: true, secured: true, strike: emptyDataFlood},
}

var stallBounds = bounds{
	server:  server.Config{StallTimeout: short},
	handler: []culvert.HandlerOption{culvert.WithStallTimeout(short)},
	gateway: []culvert.GatewayOption{culvert.WithGatewayStallTimeout(short)},
}

// slowHeader is slowloris.
func slowHeader(ctx context.Context, f *front) error {
	p, err := dialPeer(ctx, f)
	if err != nil {
		return err
	}
	if _, err := io.WriteString(p, "GET / HTTP/1.1\r\nHost: localhost\r\nX-"); err != nil {
		return p.end(err)
	}
	for p.wait() {
		if _, err := io.WriteString(p, "x"); err != nil {
			return p.end(err)
		}
	}
	return p.end(nil)
}

// slowHeaderHTTP2 sends a header block that does not end, a byte a frame.
func slowHeaderHTTP2(ctx context.Context, f *front) error {
	p, err := dialHTTP2(ctx, f)
	if err != nil {
		return err
	}
	err = p.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: f.of("/").block()})
	for err == nil && p.wait() {
		err = p.framer.WriteContinuation(1, false, nil)
	}
	return p.end(err)
}

// slowBody is R-U-Dead-Yet.
func slowBody(ctx context.Context, f *front) error {
	p, err := dialPeer(ctx, f)
	if err != nil {
		return err
	}
	request, part := f.upload()
	if _, err := io.WriteString(p, request.http1(1<<20)); err != nil {
		return p.end(err)
	}
	for p.wait() {
		if _, err := p.Write(part); err != nil {
			return p.end(err)
		}
	}
	return p.end(nil)
}

// slowBodyHTTP2 sends a body, a byte a frame: of HTTP/2, and of the tunnel.
func slowBodyHTTP2(ctx context.Context, f *front) error {
	p, err := dialHTTP2(ctx, f)
	if err != nil {
		return err
	}
	request, part := f.upload()
	id, err := p.open(request, false)
	if err != nil {
		return p.end(err)
	}
	cut := make(chan error, 1)
	go func() { cut <- p.untilEnd() }()
	for p.wait() {
		select {
		case err := <-cut:
			return p.end(err)
		default:
		}
		if err := p.framer.WriteData(id, false, part); err != nil {
			break
		}
	}
	_ = p.Close()
	return p.end(<-cut)
}

// silentBody announces a body and sends none.
func silentBody(ctx context.Context, f *front) error {
	p, err := dialPeer(ctx, f)
	if err != nil {
		return err
	}
	request, _ := f.upload()
	if _, err := io.WriteString(p, request.http1(-1)); err != nil {
		return p.end(err)
	}
	return p.end(p.untilClosed())
}

func silentBodyHTTP2(ctx context.Context, f *front) error {
	p, err := dialHTTP2(ctx, f)
	if err != nil {
		return err
	}
	request, _ := f.upload()
	if _, err := p.open(request, false); err != nil {
		return p.end(err)
	}
	return p.end(p.untilEnd())
}

// slowMessage sends the one message of a Call, a byte at a time.
func slowMessage(ctx context.Context, f *front) error {
	p, err := dialPeer(ctx, f)
	if err != nil {
		return err
	}
	call := rawRequest{method: http.MethodPost, path: "/" + culvert.ServiceName + "/Call", contentType: "application/json"}
	if _, err := io.WriteString(p, call.http1(1<<20)+"{"); err != nil {
		return p.end(err)
	}
	for p.wait() {
		if _, err := io.WriteString(p, " "); err != nil {
			return p.end(err)
		}
	}
	return p.end(nil)
}

// slowRead asks for much and reads nothing.
func slowRead(ctx context.Context, f *front) error {
	p, err := dialPeer(ctx, f)
	if err != nil {
		return err
	}
	request := f.of("/endless")
	if _, err := io.WriteString(p, request.http1(len(request.body))+string(request.body)); err != nil {
		return p.end(err)
	}
	return p.end(f.untilAppEnds(p, 1))
}

// slowReadHTTP2 gives all the credit that there is, and reads nothing.
func slowReadHTTP2(ctx context.Context, f *front) error {
	p, err := dialHTTP2(ctx, f, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1<<31 - 1})
	if err != nil {
		return err
	}
	if err := p.framer.WriteWindowUpdate(0, 1<<30); err != nil {
		return p.end(err)
	}
	if _, err := p.open(f.of("/endless"), true); err != nil {
		return p.end(err)
	}
	return p.end(f.untilAppEnds(p, 1))
}

// untilAppEnds waits until n more of the application's endless responses have
// ended.
func (f *front) untilAppEnds(p *peer, n int64) error {
	for before := f.app.ended.Load(); p.wait(); {
		if f.app.ended.Load() >= before+n {
			return nil
		}
	}
	return p.ctx.Err()
}

// noCredit reads everything and never lets the server send more of a body.
func noCredit(ctx context.Context, f *front) error { return withoutCredit(ctx, f, "/endless") }

// noCreditSmall asks for little, which net/http buffers until the handler has
// returned.
func noCreditSmall(ctx context.Context, f *front) error { return withoutCredit(ctx, f, "/small") }

func withoutCredit(ctx context.Context, f *front, path string) error {
	p, err := dialHTTP2(ctx, f, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0})
	if err != nil {
		return err
	}
	if _, err := p.open(f.of(path), true); err != nil {
		return p.end(err)
	}
	return p.end(p.untilEnd())
}

// unreadSession asks for much in a session, and never receives.
func unreadSession(ctx context.Context, f *front) error {
	const exchanges = 10
	return inSession(ctx, f, func(ctx context.Context, stream *sessionStream) error {
		var message culvertv1.SessionRequest
		for id := range uint64(exchanges) {
			message.Frames = append(message.Frames, openFrame(2*id+1, "/endless"))
		}
		if err := stream.Send(&message); err != nil {
			return err
		}
		return f.untilAppEnds(&peer{ctx: ctx}, exchanges)
	})
}

// rapidResetInSession opens exchanges of a session and takes them back, each in a
// message of its own.
func rapidResetInSession(ctx context.Context, f *front) error {
	return inSession(ctx, f, func(ctx context.Context, stream *sessionStream) error {
		var drained sync.WaitGroup
		defer drained.Wait()
		defer func() { _ = stream.CloseResponse() }()
		drained.Go(func() {
			for {
				if _, err := stream.Receive(); err != nil {
					return
				}
			}
		})
		var err error
		for id := uint64(1); err == nil; id += 2 {
			reset := &culvertv1.ClientFrame{Exchange: id, Reset_: &culvertv1.Reset{}}
			for _, frame := range []*culvertv1.ClientFrame{openFrame(id, "/busy"), reset} {
				err = errors.Join(err, stream.Send(&culvertv1.SessionRequest{Frames: []*culvertv1.ClientFrame{frame}}))
			}
		}
		return err
	})
}

type sessionStream = connect.BidiStreamForClient[culvertv1.SessionRequest, culvertv1.SessionResponse]

// inSession begins a session and says hello in it.
func inSession(ctx context.Context, f *front, strike func(context.Context, *sessionStream) error) error {
	protocols := new(http.Protocols)
	protocols.SetHTTP2(f.trust != nil)
	protocols.SetUnencryptedHTTP2(f.trust == nil)
	transport := &http.Transport{Protocols: protocols, TLSClientConfig: f.trust.Clone()}
	defer transport.CloseIdleConnections()
	client := culvertv1connect.NewHTTPServiceClient(&http.Client{Transport: transport}, f.url(), connect.WithGRPC())
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream := client.Session(ctx)
	defer context.AfterFunc(ctx, func() {
		_ = stream.CloseRequest()
		_ = stream.CloseResponse()
	})()
	err := stream.Send(&culvertv1.SessionRequest{Frames: []*culvertv1.ClientFrame{{
		Hello: &culvertv1.Hello{Version: 1, Window: 1 << 30, MaxHeadBytes: 1 << 20, MaxFields: 1000},
	}}})
	if err != nil {
		return err
	}
	return strike(ctx, stream)
}

// openFrame opens an exchange of a session.
func openFrame(id uint64, path string) *culvertv1.ClientFrame {
	return &culvertv1.ClientFrame{Exchange: id, Part: &culvertv1.RequestFrame{
		Head: &culvertv1.RequestHead{Path: path}, End: true,
	}}
}

// rapidReset opens streams and takes them back at once [CVE-2023-44487].
func rapidReset(ctx context.Context, f *front) error {
	p, err := dialHTTP2(ctx, f)
	if err != nil {
		return err
	}
	drained := make(chan error, 1)
	go func() { drained <- p.untilClosed() }()
	request := f.of("/busy")
	for err == nil && ctx.Err() == nil && p.next < 1<<30 {
		var id uint32
		if id, err = p.open(request, true); err == nil {
			err = p.framer.WriteRSTStream(id, http2.ErrCodeCancel)
		}
	}
	_ = p.Close()
	<-drained //nolint:errcheck // closed by either end
	return p.end(err)
}

// continuationFlood sends a header block that does not end, as fast as it goes
// [CVE-2024-27316].
func continuationFlood(ctx context.Context, f *front) error {
	p, err := dialHTTP2(ctx, f)
	if err != nil {
		return err
	}
	err = p.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: f.of("/").block()})
	var field bytes.Buffer
	_ = hpack.NewEncoder(&field).WriteField(hpack.HeaderField{Name: "x", Value: strings.Repeat("x", 16_000), Sensitive: true})
	for err == nil && ctx.Err() == nil {
		err = p.framer.WriteContinuation(1, false, field.Bytes())
	}
	return p.end(err)
}

// pingFlood asks for answers.
func pingFlood(ctx context.Context, f *front) error {
	return flood(ctx, f, func(p *peer) error { return p.framer.WritePing(false, [8]byte{}) })
}

// settingsFlood asks for acknowledgements.
func settingsFlood(ctx context.Context, f *front) error {
	window := http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 16}
	return flood(ctx, f, func(p *peer) error { return p.framer.WriteSettings(window) })
}

// creditFlood gives credit that nobody needs.
func creditFlood(ctx context.Context, f *front) error {
	return flood(ctx, f, func(p *peer) error { return p.framer.WriteWindowUpdate(0, 1) })
}

// priorityFlood has opinions about streams that there are not [CVE-2019-9513].
func priorityFlood(ctx context.Context, f *front) error {
	return flood(ctx, f, func(p *peer) error {
		p.next += 2
		return p.framer.WritePriority(p.next, http2.PriorityParam{StreamDep: 1})
	})
}

// emptyDataFlood sends a body of nothing, which does not end [CVE-2019-9518].
func emptyDataFlood(ctx context.Context, f *front) error {
	request, _ := f.upload()
	return flood(ctx, f, func(p *peer) (err error) {
		if p.next == 1 {
			_, err = p.open(request, false)
			return err
		}
		return p.framer.WriteData(1, false, nil)
	})
}

// flood sends the same again and again, and reads what comes. An attacker that
// reads nothing throttles itself.
func flood(ctx context.Context, f *front, send func(*peer) error) error {
	p, err := dialHTTP2(ctx, f)
	if err != nil {
		return err
	}
	drained := make(chan error, 1)
	go func() { drained <- p.untilClosed() }()
	for err == nil && ctx.Err() == nil {
		err = send(p)
	}
	_ = p.Close()
	<-drained //nolint:errcheck // closed by either end
	return p.end(err)
}
