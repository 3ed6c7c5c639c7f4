package culvert

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	culvertv1 "github.com/culvert-http/culvert/api/culvert/v1"
	"github.com/culvert-http/culvert/internal/bridge"
)

// ErrTransportClosed is the error of exchanges that [Transport.Close] ends, and
// of those after it.
var ErrTransportClosed = errors.New("culvert: transport is closed")

// Transport is an [http.RoundTripper] that sends requests through the tunnel to
// one server, whatever their URLs say: scheme and authority go along for the
// application behind it. It is safe for concurrent use, and meant to be kept: it
// holds connections.
//
// What an [http.Transport] promises of requests and responses holds here too. It
// adds no fields, neither User-Agent nor Accept-Encoding, and uses no proxy. A
// failure of the tunnel, as opposed to an HTTP status, is an *[Error]. Where it
// is the caller's own doing, it is also a context.Canceled or a
// context.DeadlineExceeded as errors.Is has it; of a response that was cut short
// it is an [io.ErrUnexpectedEOF].
//
// The hooks of an [httptrace.ClientTrace] are told of the request and its response,
// not of the RPC that carries them: WroteHeaderField of Host and of each field of the
// head, as in HTTP/1.1. Those about connections, GetConn to TLSHandshakeDone, are
// told of the connection that the RPC takes. A session has its connection before
// there is a request, so with [MethodSession] they are not called. Wait100Continue is
// called by it and [MethodExchange]: with other methods no body waits.
//
// A response with status 101 has a body that implements [io.ReadWriteCloser]
// and CloseWrite() error, and outlives the request's context.
type Transport struct {
	config *transportConfig
	client *bridge.Client
	server *clientServer
	close  context.CancelFunc
}

// NewTransport returns a transport to the server at baseURL, with scheme http or
// https, under whose path the handler is mounted. It does not connect: with http
// the first exchange finds out whether the server speaks HTTP/2 without TLS.
func NewTransport(baseURL string, opts ...TransportOption) (*Transport, error) {
	base, err := parseBaseURL(baseURL)
	if err != nil {
		return nil, err
	}
	config, err := newTransportConfig(opts)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	return &Transport{
		config: config,
		client: &bridge.Client{
			Limits:          bridge.Limits{HeadBytes: config.maxHeadBytes, Fields: config.maxFields},
			Interims:        maxInterims,
			ContinueTimeout: config.continueTimeout,
			Tries:           config.tries,
			Backoff:         resendBackoff,
		},
		server: newClientServer(ctx, base, config),
		close:  cancel,
	}, nil
}

func parseBaseURL(raw string) (*url.URL, error) {
	base, err := url.Parse(raw)
	if err != nil {
		return nil, fmt.Errorf("parse base URL: %w", err)
	}
	switch {
	case base.Scheme != "http" && base.Scheme != "https":
		return nil, fmt.Errorf("parse base URL: scheme of %q is neither http nor https", raw)
	case base.Host == "":
		return nil, fmt.Errorf("parse base URL: no host in %q", raw)
	case base.User != nil || base.RawQuery != "" || base.Fragment != "":
		return nil, errors.New("parse base URL: only scheme, host and path are of use")
	}
	base.Path = strings.TrimRight(base.Path, "/")
	base.RawPath = ""
	return base, nil
}

// RoundTrip implements [http.RoundTripper].
func (t *Transport) RoundTrip(req *http.Request) (*http.Response, error) {
	request, err := bridge.NewClientRequest(req)
	if err != nil {
		return nil, err
	}
	return t.send(request)
}

// pass is RoundTrip for a request that a gateway has received, has no body, and
// asks for no upgrade. The exchange ends with ctx.
func (t *Transport) pass(ctx context.Context, received *http.Request, passage *bridge.Passage) (*http.Response, error) {
	request, err := bridge.NewPassedRequest(ctx, received, passage)
	if err != nil {
		return nil, err
	}
	return t.send(request)
}

// send sends a request by the RPC that suits it.
func (t *Transport) send(request *bridge.ClientRequest) (*http.Response, error) {
	rpcs, err := t.server.rpcs(request.Context())
	if err != nil {
		request.Discard()
		return nil, err
	}
	carrier, err := t.choose(request, rpcs)
	if err != nil {
		request.Discard()
		return nil, err
	}
	return t.client.RoundTrip(request, carrier)
}

// choose decides which RPC carries a request.
func (t *Transport) choose(request *bridge.ClientRequest, rpcs *clientRPCs) (bridge.Carrier, error) {
	if err := t.checkMethod(request, rpcs); err != nil {
		return bridge.Carrier{}, err
	}
	switch t.config.method {
	case MethodSession:
		return rpcs.bySession, nil
	case MethodExchange:
		return rpcs.byExchange, nil
	case MethodUpload:
		return rpcs.byUpload, nil
	case MethodDownload:
		return rpcs.byDownload, t.bufferWhole(request)
	case MethodCall:
		return rpcs.byCall, t.bufferWhole(request)
	default:
		return chooseByServer(request, rpcs)
	}
}

// checkMethod returns an error for what neither the server nor the method that
// was asked for can do.
func (t *Transport) checkMethod(request *bridge.ClientRequest, rpcs *clientRPCs) error {
	method, upgrades := t.config.method, request.Upgrade() != ""
	var err error
	switch {
	case !rpcs.http2 && (method.duplex() || upgrades):
		err = fmt.Errorf("%s speaks HTTP/1.1 only, which can carry neither full duplex nor an upgrade: "+
			"the methods download and upload work on it", t.server.base.Host)
	case upgrades && !method.duplex() && method != MethodAuto:
		err = fmt.Errorf("method %s cannot carry an upgrade: exchange can", method)
	default:
		return nil
	}
	return &Error{Cause: culvertv1.Cause_CAUSE_HTTP2_REQUIRED, Err: err}
}

// chooseByServer takes what streams both ways, if the server's version of HTTP
// allows that. If not, one direction is as good as the other, but for the size of
// the request.
func chooseByServer(request *bridge.ClientRequest, rpcs *clientRPCs) (bridge.Carrier, error) {
	if rpcs.http2 {
		return rpcs.byAdvice(), nil
	}
	whole, err := request.Buffer(maxAutoDownload)
	if whole {
		return rpcs.byDownload, err
	}
	return rpcs.byUpload, err
}

// bufferWhole reads the body of a request that travels as one message.
func (t *Transport) bufferWhole(request *bridge.ClientRequest) error {
	limit := t.config.maxBodyBytes
	whole, err := request.Buffer(limit)
	if err != nil {
		return err
	}
	if !whole {
		return &Error{
			Cause: culvertv1.Cause_CAUSE_REQUEST_BODY_TOO_LARGE,
			Err:   fmt.Errorf("method %s takes bodies of at most %d bytes: exchange and upload stream", t.config.method, limit),
		}
	}
	return nil
}

// CloseIdleConnections closes the connections that carry nothing at the moment, and
// ends the sessions that do not.
//
// To a server a session is a request that has not ended. An
// [net/http/httptest.Server] waits for it in Close, unless the transport is closed
// first, or is that of its client, whose idle connections it has closed:
//
//	server.Client().Transport = transport
func (t *Transport) CloseIdleConnections() { t.server.closeIdle() }

// Close ends all exchanges and closes all connections. Every later exchange
// fails. It returns nil.
func (t *Transport) Close() error {
	t.close()
	t.server.closeAll()
	return nil
}

var _ http.RoundTripper = (*Transport)(nil)
