package culvert

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptrace"
	"sync"
	"sync/atomic"

	culvertv1 "github.com/culvert-http/culvert/api/culvert/v1"
	"github.com/culvert-http/culvert/internal/bridge"
	"github.com/culvert-http/culvert/internal/onestream"
)

// clientCall is one RPC as the transport below sees it. It is the context of
// that, so that what is below ends with it.
type clientCall struct {
	context.Context //nolint:containedctx // this is one
	cancel          context.CancelFunc
	sent            *httptrace.ClientTrace // about the request, which the RPC's is; nil if there are no such hooks

	mu          sync.Mutex // guards what follows
	interrupted bool
	response    io.Closer // the body of the RPC's response, once there is one
}

type clientCallKey struct{}

func newClientCall(ctx context.Context) *clientCall {
	c := &clientCall{}
	c.Context, c.cancel = context.WithCancel(ctx)
	return c
}

// Value implements context.Context. Of the hooks that the caller has put into the
// context, those about connections are left to what is below; those about the
// exchange must not see the RPC that carries it, but for when it was sent.
func (c *clientCall) Value(key any) any {
	if key == (clientCallKey{}) {
		return c
	}
	value := c.Context.Value(key)
	if hooks, ok := value.(*httptrace.ClientTrace); ok && hooks != nil {
		return c.hooksBelow(hooks)
	}
	return value
}

func (c *clientCall) hooksBelow(hooks *httptrace.ClientTrace) *httptrace.ClientTrace {
	below := &httptrace.ClientTrace{
		GetConn:           hooks.GetConn,
		GotConn:           hooks.GotConn,
		PutIdleConn:       hooks.PutIdleConn,
		DNSStart:          hooks.DNSStart,
		DNSDone:           hooks.DNSDone,
		ConnectStart:      hooks.ConnectStart,
		ConnectDone:       hooks.ConnectDone,
		TLSHandshakeStart: hooks.TLSHandshakeStart,
		TLSHandshakeDone:  hooks.TLSHandshakeDone,
	}
	if c.sent != nil {
		below.WroteHeaders, below.WroteRequest = c.sent.WroteHeaders, c.sent.WroteRequest
	}
	return below
}

// interrupt ends the RPC. It does not block, and may be called more than once.
func (c *clientCall) interrupt() {
	c.mu.Lock()
	response := c.response
	c.interrupted, c.response = true, nil
	c.mu.Unlock()
	c.cancel()
	if response != nil {
		// What is not read of the response has to be given back to the connection's
		// window. That can wait for the connection, if there is anything.
		go func() { _ = response.Close() }()
	}
}

// attach gives the call the body of its response, which it closes in the end.
func (c *clientCall) attach(response *http.Response) {
	c.mu.Lock()
	interrupted := c.interrupted
	if !interrupted {
		c.response = response.Body
	}
	c.mu.Unlock()
	if interrupted {
		_ = response.Body.Close()
	}
}

// finish says that the response was read to its end, so that there is nothing to
// close.
func (c *clientCall) finish() {
	c.mu.Lock()
	c.response = nil
	c.mu.Unlock()
}

func (c *clientCall) isInterrupted() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.interrupted
}

var (
	// errNotProcessed is the error of an RPC of which the server's HTTP/2 says that
	// nothing was done [RFC 9113 § 8.7].
	errNotProcessed = onestream.ErrNotProcessed
	errInterrupted  = errors.New("interrupted")
)

// clientDoer carries RPCs for connect. It does not follow redirects, as an
// http.Client would.
type clientDoer struct {
	transport http.RoundTripper
	header    http.Header
	token     func() string // nil: none
	failed    func()        // an RPC got no answer
	answered  func()        // an RPC got one
}

// Do implements connect.HTTPClient.
func (d *clientDoer) Do(req *http.Request) (*http.Response, error) {
	call, ok := req.Context().Value(clientCallKey{}).(*clientCall)
	if !ok {
		return nil, errors.New("RPC without a call")
	}
	for name, values := range d.header {
		if _, taken := req.Header[name]; !taken {
			req.Header[name] = values
		}
	}
	if d.token != nil {
		if token := d.token(); token != "" {
			req.Header["Authorization"] = []string{"Bearer " + token}
		}
	}
	if via := viaOfRPC(bridge.InboundOf(call)); len(via) > 0 {
		req.Header[carriedVia] = via
	}
	if req.Body != nil && req.GetBody == nil {
		body := &clientRPCBody{ReadCloser: req.Body, call: call}
		req.Body, req.GetBody = body, body.again
	}
	resp, err := d.transport.RoundTrip(req)
	if err != nil {
		if req.Context().Err() == nil && !errors.Is(err, errNotProcessed) {
			d.failed()
		}
		return nil, err
	}
	if resp.StatusCode == http.StatusLoopDetected { // a gateway's, which the RPC has reached in a circle
		_ = resp.Body.Close()
		return nil, &Error{Cause: culvertv1.Cause_CAUSE_LOOP, Remote: true}
	}
	d.answered()
	call.attach(resp)
	return resp, nil
}

// clientRPCBody is the body of an RPC that streams.
type clientRPCBody struct {
	io.ReadCloser
	call    *clientCall
	touched atomic.Bool // read from or closed
}

// Read implements io.Reader. An interrupted body does not look complete.
func (b *clientRPCBody) Read(p []byte) (int, error) {
	b.touched.Store(true)
	n, err := b.ReadCloser.Read(p)
	if err == io.EOF && b.call.isInterrupted() {
		err = errInterrupted
	}
	return n, err
}

// Close implements io.Closer.
func (b *clientRPCBody) Close() error {
	b.touched.Store(true)
	return b.ReadCloser.Close()
}

// again is the request's GetBody. net/http calls it when the server has not
// processed a request that could be sent again if there were the body: there is,
// in the hands of the exchange.
func (b *clientRPCBody) again() (io.ReadCloser, error) {
	if !b.touched.Load() {
		return b, nil
	}
	return nil, errNotProcessed
}
