package bridge

import (
	"context"
	"net/http"
	"time"

	culvertv1 "github.com/culvert-http/culvert/api/culvert/v1"
	"github.com/culvert-http/culvert/internal/timeout"
)

// Client carries out exchanges for a RoundTripper. Its methods may be called
// concurrently; its fields must not change after the first call.
type Client struct {
	// Limits bounds the head of a response, and its trailer section.
	Limits Limits
	// Interims bounds how many interim responses come before a final one. All of
	// them together are bounded by Limits as one head is.
	Interims int
	// ContinueTimeout is how long the body of a request that expects 100-continue
	// is held back; 0 means that it is not.
	ContinueTimeout time.Duration
	// Tries is how often a request is sent at most, if the server says each time
	// that it did not start the exchange.
	Tries int
	// Backoff is the time before the second try. It doubles from try to try.
	Backoff time.Duration

	drains, watches timeout.Queue[clientExchange]
}

// Carrier is an RPC method that exchanges can be carried by.
type Carrier struct {
	// Open starts the RPC. It does not block: what goes wrong is told by the
	// stream's methods.
	Open func(context.Context) ClientStream
	// Whole says that the request is one message. Without it the request streams.
	Whole bool
	// Duplex says that both directions stream at once, so that the exchange can
	// upgrade, wait for a 100, and be told that it was accepted.
	Duplex bool
	// Multiplexed says that the exchange is one of a session, which sees to it that
	// nothing follows an end.
	Multiplexed bool
	// Again returns the carrier of the next try, which is no less Duplex, and Whole
	// only if this one is. It is nil for the same one.
	Again func() Carrier
}

// Inbound is what a gateway knows of the request that it passes on, beyond what
// an http.Request for a RoundTripper can say.
type Inbound struct {
	// Version is the HTTP version of the request; HTTP/1.1 if unspecified.
	Version culvertv1.HTTPVersion
	// ClientAddress is the address of the client, "host:port".
	ClientAddress string
	// Target is the request target in origin form exactly as it came. If it is
	// empty, it is made from the request's URL.
	Target string
	// Via and CarriedVia are the gateways that the request has passed, and those
	// that the RPC has passed which it is itself, if it is one.
	Via, CarriedVia []string
}

type inboundKey struct{}

// WithInbound has the request of the context say what inbound says.
func WithInbound(ctx context.Context, inbound *Inbound) context.Context {
	return context.WithValue(ctx, inboundKey{}, inbound)
}

// InboundOf returns what WithInbound has left in ctx, or an empty one.
// It must not be changed.
func InboundOf(ctx context.Context) *Inbound {
	if inbound, ok := ctx.Value(inboundKey{}).(*Inbound); ok {
		return inbound
	}
	return &noInbound
}

var noInbound Inbound

// RoundTrip sends the request and returns at the head of the response, as an
// http.RoundTripper does. It may be called once for a request.
func (c *Client) RoundTrip(request *ClientRequest, carrier Carrier) (*http.Response, error) {
	x := &request.exchange
	x.client, x.carrier, x.request, x.ctx = c, carrier, request, request.ctx
	return x.roundTrip()
}
