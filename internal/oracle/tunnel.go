package oracle

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"connectrpc.com/connect"

	culvertv1 "github.com/culvert-http/culvert/api/culvert/v1"
)

// Tunnel is a client that carries exchanges with one of the service's methods.
type Tunnel struct {
	name    string
	route   Route
	service Service
}

// NewTunnels returns a client for each of the service's methods: some of Call,
// Upload, Download and Exchange.
func NewTunnels(name string, service Service, methods ...string) []Client {
	clients := make([]Client, len(methods))
	for i, method := range methods {
		clients[i] = &Tunnel{name: name + " " + method, route: Route{Method: method}, service: service}
	}
	return clients
}

// NewPackedTunnels is NewTunnels for a client whose messages hold as much of a
// request as fits.
func NewPackedTunnels(name string, service Service, methods ...string) []Client {
	clients := NewTunnels(name+" packed", service, methods...)
	for _, client := range clients {
		client.(*Tunnel).route.Packed = true
	}
	return clients
}

// Tunnels returns the clients of a rig that are libraries of Go: connect-go's in
// every protocol with every method over HTTP/2, in protobuf and in JSON, and over
// HTTP/1.1 with what that can carry, and grpc-go's. Their connections are closed
// when the test is over.
func Tunnels(tb testing.TB, rig *Rig) []Client {
	tb.Helper()
	var clients []Client
	h2c, http1 := httpClient(tb, HTTP2), httpClient(tb, HTTP11)
	base := "http://" + rig.Tunnel
	methods := []string{"Call", "Upload", "Download", "Exchange"}
	for _, protocol := range []struct {
		name   string
		option connect.ClientOption
	}{
		{"connect", connect.WithClientOptions()},
		{"grpc", connect.WithGRPC()},
		{"grpc-web", connect.WithGRPCWeb()},
	} {
		proto := ConnectService(h2c, base, protocol.option)
		json := ConnectService(h2c, base, protocol.option, connect.WithProtoJSON())
		clients = append(clients, NewTunnels(protocol.name+" proto h2c", proto, methods...)...)
		if protocol.name == "connect" { // in the others JSON changes the codec alone
			clients = append(clients, NewTunnels(protocol.name+" json h2c", json, methods...)...)
		} else {
			clients = append(clients, NewTunnels(protocol.name+" json h2c", json, "Exchange")...)
		}
		if protocol.name == "grpc" {
			clients = append(clients, NewPackedTunnels(protocol.name+" proto h2c", proto, "Upload", "Exchange")...)
			continue // needs HTTP/2
		}
		old := ConnectService(http1, base, protocol.option)
		clients = append(clients, NewTunnels(protocol.name+" proto http/1.1", old, methods[:3]...)...)
	}
	return append(clients, NewTunnels("grpc-go", GRPCService(tb, rig.Tunnel), methods...)...)
}

func httpClient(tb testing.TB, version Version) *http.Client {
	tb.Helper()
	return &http.Client{Transport: httpTransport(tb, version)}
}

// httpTransport returns a transport that speaks one version and adds nothing.
func httpTransport(tb testing.TB, version Version) *http.Transport {
	tb.Helper()
	protocols := new(http.Protocols)
	protocols.SetHTTP1(version != HTTP2)
	protocols.SetUnencryptedHTTP2(version == HTTP2)
	transport := &http.Transport{Protocols: protocols, DisableCompression: true}
	tb.Cleanup(transport.CloseIdleConnections)
	return transport
}

// Name implements Client.
func (c *Tunnel) Name() string { return c.name }

// Route implements Client.
func (c *Tunnel) Route() Route { return c.route }

// Carries implements Client.
func (c *Tunnel) Carries(row *Row, _ Version) (bool, string) {
	needs := row.Request.Needs()
	switch method := c.route.Method; {
	case needs&NeedsDuplex != 0 && method != "Exchange":
		return false, "only Exchange sends while it receives"
	case needs&NeedsUpgrade != 0 && method != "Exchange":
		return false, "only Exchange upgrades"
	case needs&NeedsCut != 0 && (c.route.Whole() || c.route.Packed):
		return false, "a request that is one message cannot stop half-way"
	case needs&(NeedsDuplex|NeedsContinue|NeedsUpgrade) != 0 && c.route.Packed:
		return false, "a request that waits is not one message"
	default:
		return true, ""
	}
}

// Do implements Client.
func (c *Tunnel) Do(ctx context.Context, version Version, request Request) Outcome {
	call := &tunnelCall{service: c.service, request: &request, head: requestHead(version, &request), packed: c.route.Packed}
	if c.route.Method == "Exchange" {
		call.pace = newPace(&request)
	} else {
		call.pace = newPace(&Request{})
	}
	var err error
	switch c.route.Method {
	case "Call":
		err = call.call(ctx)
	case "Upload":
		err = call.upload(ctx)
	case "Download":
		err = call.download(ctx)
	default:
		err = call.exchange(ctx)
	}
	call.outcome.fail(err, c.service.Cause(err))
	return call.outcome
}

// fail names the error of an RPC.
func (o *Outcome) fail(err error, cause culvertv1.Cause) {
	if err == nil {
		return
	}
	o.Err = err
	switch {
	case o.Status != 0, cause == culvertv1.Cause_CAUSE_RESPONSE_TRUNCATED:
		o.Class = Cut
	case cause == culvertv1.Cause_CAUSE_MALFORMED_REQUEST:
		o.Class = Refused
	default:
		o.Class = Failed
	}
}

// tunnelCall is one RPC that carries one exchange.
type tunnelCall struct {
	service Service
	request *Request
	head    *culvertv1.RequestHead
	packed  bool
	pace    *pace
	body    counter
	outcome Outcome
}

func (c *tunnelCall) call(ctx context.Context) error {
	head := c.head
	response, err := c.service.Call(ctx, &culvertv1.HTTPRequest{
		Method:      head.GetMethod(),
		Authority:   head.GetAuthority(),
		Path:        head.GetPath(),
		RawPath:     head.GetRawPath(),
		Headers:     head.GetHeaders(),
		HttpVersion: head.GetHttpVersion(),
		Body:        []byte(strings.Join(c.request.Body, "")),
		Trailers:    encode(c.request.Trailer),
	})
	if err != nil {
		return err
	}
	c.takeWhole(response)
	return nil
}

func (c *tunnelCall) takeWhole(response *culvertv1.HTTPResponse) {
	c.outcome = Outcome{
		Status:  int(response.GetStatus()),
		Header:  decode(response.GetHeaders()),
		Body:    string(response.GetBody()) + response.GetText(),
		Trailer: decode(response.GetTrailers()),
	}
	c.takeInformational(response.GetInformational())
}

func (c *tunnelCall) takeInformational(heads []*culvertv1.InformationalHead) {
	for _, head := range heads {
		c.outcome.Informational = append(c.outcome.Informational,
			Informational{int(head.GetStatus()), decode(head.GetHeaders())})
		c.pace.informed(int(head.GetStatus()), false)
	}
}

func (c *tunnelCall) upload(ctx context.Context) error {
	stream, err := c.service.Upload(ctx)
	if err != nil {
		return err
	}
	if _, err := c.send(stream.Send); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	response, err := stream.CloseAndReceive()
	if err != nil {
		return err
	}
	c.takeWhole(response)
	return nil
}

func (c *tunnelCall) download(ctx context.Context) error {
	stream, err := c.service.Download(ctx, &culvertv1.RequestFrame{
		Head: c.head, Data: []byte(strings.Join(c.request.Body, "")), End: true, Trailers: encode(c.request.Trailer),
	})
	if err != nil {
		return err
	}
	defer stream.Close()
	return c.receiveAll(stream)
}

// receiveAll reads frames until the response's end, and how the RPC ends.
func (c *tunnelCall) receiveAll(stream Stream) error {
	err := c.receive(stream.Receive)
	switch err {
	case nil:
		err = afterEnd(stream)
	case io.EOF:
		err = nil // finish knows what is missing
	}
	return c.finish(err)
}

// afterEnd reads how an RPC ends whose response has ended.
func afterEnd(stream Stream) error {
	switch _, err := stream.Receive(); err {
	case nil:
		return errors.New("a frame after the end")
	case io.EOF:
		return nil
	default:
		return err
	}
}

func (c *tunnelCall) exchange(ctx context.Context) error {
	stream, err := c.service.Exchange(ctx)
	if err != nil {
		return err
	}
	defer stream.Close()
	sending := make(chan bool, 1)
	go func() {
		all, _ := c.send(stream.Send) // an error of sending is one of receiving too
		_ = stream.CloseSend()
		sending <- all
	}()
	err = c.receive(stream.Receive)
	c.pace.end()
	if err != nil {
		stream.Close()
	}
	all := <-sending
	switch {
	case err == io.EOF:
		err = nil // finish knows what is missing
	case err == nil && all: // else the response came early, and how the RPC ends is no matter
		err = afterEnd(stream)
	}
	return c.finish(err)
}

// receive reads frames until the response's end.
func (c *tunnelCall) receive(next func() (*culvertv1.ResponseFrame, error)) error {
	for {
		frame, err := next()
		if err != nil {
			return err
		}
		c.take(frame)
		if frame.GetEnd() {
			return nil
		}
	}
}

// take adds a frame to the outcome.
func (c *tunnelCall) take(frame *culvertv1.ResponseFrame) {
	c.body.pace = c.pace
	c.takeInformational(frame.GetInformational())
	if head := frame.GetHead(); head != nil {
		c.outcome.Status = int(head.GetStatus())
		c.outcome.Header = decode(head.GetHeaders())
		if upgrade := head.GetUpgrade(); upgrade != "" {
			c.outcome.Header.Set("Upgrade", upgrade)
		}
		c.pace.informed(c.outcome.Status, head.GetUpgrade() != "")
	}
	_, _ = c.body.Write(frame.GetData())
	if frame.GetEnd() {
		c.outcome.Trailer = decode(frame.GetTrailers())
		c.ended()
	}
}

// ended notes that the end was received, once.
func (c *tunnelCall) ended() {
	if c.outcome.Trailer == nil {
		c.outcome.Trailer = http.Header{}
	}
}

// finish makes sure that a response that ended did so in the way of the
// protocol.
func (c *tunnelCall) finish(err error) error {
	c.outcome.Body = c.body.String()
	if err == nil && c.outcome.Trailer == nil {
		return errors.New("the RPC ended with OK, and the response did not end")
	}
	return err
}
