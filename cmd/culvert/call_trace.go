package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync"
	"time"

	"connectrpc.com/connect"

	"github.com/culvert-http/culvert"
)

// callTrace writes what --verbose shows, in curl's way: * for what happens, > for
// what is sent, < for what comes. A nil callTrace writes nothing.
type callTrace struct {
	mu    sync.Mutex // guards what follows: hooks run on goroutines of their own
	w     io.Writer
	start time.Time

	connected, firstByte time.Duration
}

func newCallTrace(w io.Writer, verbose bool) *callTrace {
	if !verbose {
		return nil
	}
	return &callTrace{w: w, start: time.Now()}
}

func (t *callTrace) write(prefix string, lines ...string) {
	var b strings.Builder
	for _, line := range lines {
		b.WriteString(prefix + line + "\n")
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	_, _ = io.WriteString(t.w, b.String())
}

// options has the transport tell which RPCs it calls.
func (t *callTrace) options() []culvert.TransportOption {
	if t == nil {
		return nil
	}
	return []culvert.TransportOption{culvert.WithConnectClientOptions(connect.WithInterceptors(rpcTrace{t}))}
}

// watch has the connection tell what becomes of it.
func (t *callTrace) watch(ctx context.Context) context.Context {
	if t == nil {
		return ctx
	}
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(info httptrace.GotConnInfo) {
			t.mu.Lock()
			t.connected = time.Since(t.start)
			t.mu.Unlock()
			t.write("* ", "connected to "+info.Conn.RemoteAddr().String())
		},
		GotFirstResponseByte: func() {
			t.mu.Lock()
			t.firstByte = time.Since(t.start)
			t.mu.Unlock()
		},
	})
}

// request shows the head of the request.
func (t *callTrace) request(req *http.Request, server string) {
	if t == nil {
		return
	}
	host := req.Host
	if host == "" {
		host = req.URL.Host
	}
	header := req.Header.Clone()
	if req.ContentLength > 0 {
		header.Set("Content-Length", fmt.Sprint(req.ContentLength))
	}
	t.write("* ", "through "+server)
	t.write("> ", append([]string{req.Method + " " + req.URL.RequestURI() + " HTTP/1.1", "Host: " + host}, fieldLines(header)...)...)
	t.write("> ", "")
}

// response shows the head of the response.
func (t *callTrace) response(resp *http.Response) { t.head(resp.Status, resp.Header) }

func (t *callTrace) head(status string, header http.Header) {
	if t == nil {
		return
	}
	t.write("< ", append(headLines(status, header), "")...)
}

// end shows the trailers, and the times.
func (t *callTrace) end(resp *http.Response, received int64) {
	if t == nil {
		return
	}
	if lines := fieldLines(resp.Trailer); len(lines) > 0 {
		t.write("* ", "trailers")
		t.write("< ", lines...)
	}
	t.mu.Lock()
	connected, firstByte := t.connected, t.firstByte
	t.mu.Unlock()
	t.write("* ", fmt.Sprintf("connected after %s, first byte after %s, ended after %s with %d bytes",
		rounded(connected), rounded(firstByte), rounded(time.Since(t.start)), received))
}

func rounded(d time.Duration) time.Duration { return d.Round(10 * time.Microsecond) }

// rpcTrace is an interceptor that shows the protocol and the method of an RPC.
type rpcTrace struct{ trace *callTrace }

func (r rpcTrace) show(spec connect.Spec, peer connect.Peer) {
	r.trace.write("* ", fmt.Sprintf("RPC %s, protocol %s", strings.TrimPrefix(spec.Procedure, "/"), peer.Protocol))
}

// WrapUnary implements connect.Interceptor.
func (r rpcTrace) WrapUnary(next connect.UnaryFunc) connect.UnaryFunc {
	return func(ctx context.Context, req connect.AnyRequest) (connect.AnyResponse, error) {
		r.show(req.Spec(), req.Peer())
		return next(ctx, req)
	}
}

// WrapStreamingClient implements connect.Interceptor.
func (r rpcTrace) WrapStreamingClient(next connect.StreamingClientFunc) connect.StreamingClientFunc {
	return func(ctx context.Context, spec connect.Spec) connect.StreamingClientConn {
		conn := next(ctx, spec)
		r.show(spec, conn.Peer())
		return conn
	}
}

// WrapStreamingHandler implements connect.Interceptor.
func (rpcTrace) WrapStreamingHandler(next connect.StreamingHandlerFunc) connect.StreamingHandlerFunc {
	return next
}
