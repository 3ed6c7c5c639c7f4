package oracle

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"net/url"
	"slices"
	"strings"
)

// HTTPClient is a Client of an http.RoundTripper: net/http's own, one that goes
// through the tunnel, or one whose server is a gateway.
type HTTPClient struct {
	name     string
	rt       http.RoundTripper
	addr     string
	route    Route
	versions []Version
}

// NewHTTPClient returns a client that sends requests for addr to rt. The versions
// are those that the handlers at the other end see; route says what lies between,
// of which Library is always true. A round tripper that would add a field of its
// own, as net/http's does for compression, must be told not to, and must wait for
// 100 Continue longer than a test takes.
func NewHTTPClient(name string, rt http.RoundTripper, addr string, route Route, versions ...Version) *HTTPClient {
	route.Library = true
	return &HTTPClient{name: name, rt: rt, addr: addr, route: route, versions: versions}
}

// Name implements Client.
func (c *HTTPClient) Name() string { return c.name }

// Route implements Client.
func (c *HTTPClient) Route() Route { return c.route }

// Carries implements Client.
func (c *HTTPClient) Carries(row *Row, version Version) (bool, string) {
	request := &row.Request
	needs := request.Needs()
	switch method := c.route.Method; {
	case !slices.Contains(c.versions, version):
		return false, "the client speaks other versions of HTTP"
	case needs&(NeedsExactTarget|NeedsExactFields) != 0:
		return false, "an HTTP library changes the request, or refuses it"
	case needs&(NeedsCut|NeedsUpgrade) != 0:
		return false, "an HTTP library has no way to send half a request, or to end one direction of a connection"
	case needs&NeedsDuplex != 0 && method != "" && method != "Exchange":
		return false, "only Exchange sends while it receives"
	case len(request.Trailer) > 0 && request.Header["Trailer"] == nil:
		return false, "an HTTP library announces all trailers"
	default:
		return true, ""
	}
}

// Do implements Client.
func (c *HTTPClient) Do(ctx context.Context, _ Version, request Request) Outcome {
	var outcome Outcome
	pace := newPace(&Request{Lockstep: request.Lockstep})
	stop := context.AfterFunc(ctx, pace.end)
	defer stop()
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		Got1xxResponse: func(status int, header textproto.MIMEHeader) error {
			outcome.Informational = append(outcome.Informational, Informational{status, http.Header(header).Clone()})
			return nil
		},
	})
	response, err := c.rt.RoundTrip(c.request(ctx, &request, pace))
	if err != nil {
		outcome.Class, outcome.Err = Failed, err
		if c.route.Buffered() && errors.Is(err, io.ErrUnexpectedEOF) {
			outcome.Class = Cut
		}
		return outcome
	}
	outcome.take(response, pace)
	return outcome
}

// take reads a response to its end.
func (o *Outcome) take(response *http.Response, pace *pace) {
	defer func() { _ = response.Body.Close() }()
	o.Status, o.Header = response.StatusCode, response.Header
	for name := range response.Trailer {
		o.Header.Add("Trailer", name)
	}
	body := counter{pace: pace}
	if _, err := io.Copy(&body, response.Body); err != nil {
		o.Class, o.Err = Cut, err
	}
	pace.end()
	o.Body, o.Trailer = body.String(), make(http.Header)
	for name, values := range response.Trailer {
		if values != nil {
			o.Trailer[name] = values
		}
	}
}

// request makes the request that an http.Client would.
func (c *HTTPClient) request(ctx context.Context, r *Request, pace *pace) *http.Request {
	path, query, asked := strings.Cut(r.Target, "?")
	target := &url.URL{Scheme: "http", Host: c.addr, RawQuery: query, ForceQuery: asked && query == ""}
	target.Path, _ = url.PathUnescape(path)
	target.RawPath = path
	request := (&http.Request{
		Method: r.Method, URL: target, Host: r.Host, Header: r.Header.Clone(), ContentLength: -1,
	}).WithContext(ctx)
	if request.Header == nil {
		request.Header = make(http.Header)
	}
	if request.Header["User-Agent"] == nil {
		request.Header["User-Agent"] = []string{""} // none
	}
	c.setBody(request, r, pace)
	return request
}

func (c *HTTPClient) setBody(request *http.Request, r *Request, pace *pace) {
	switch {
	case r.Body == nil:
		request.ContentLength = 0
	case !r.Unsized && r.Size() == 0:
		request.ContentLength, request.Body = 0, http.NoBody
	default:
		if !r.Unsized {
			request.ContentLength = int64(r.Size())
		}
		request.Body = &pacedBody{pace: pace, chunks: r.Body, sized: !r.Unsized}
	}
	if announced := request.Header["Trailer"]; announced != nil {
		delete(request.Header, "Trailer")
		request.Trailer = make(http.Header)
		for _, name := range names(announced) {
			request.Trailer[name] = r.Trailer[name]
		}
	}
}

// pacedBody is a body of chunks, each of which is sent when the row wants it.
type pacedBody struct {
	pace   *pace
	chunks []string
	rest   string
	sent   int
	sized  bool
}

// Read implements io.Reader. A read has one chunk, or a part of one.
func (b *pacedBody) Read(p []byte) (int, error) {
	for b.rest == "" {
		if !b.pace.wait(b.sent) {
			return 0, io.ErrUnexpectedEOF
		}
		if len(b.chunks) == 0 {
			return 0, io.EOF
		}
		b.rest, b.chunks = b.chunks[0], b.chunks[1:]
	}
	n := copy(p, b.rest)
	b.rest = b.rest[n:]
	b.sent += n
	if b.sized && b.rest == "" && len(b.chunks) == 0 {
		return n, io.EOF // whoever knows the length asks no more
	}
	return n, nil
}

// Close implements io.Closer.
func (b *pacedBody) Close() error {
	b.pace.end()
	return nil
}
