package bridge

import (
	"context"
	"net/http/httptrace"
	"net/textproto"
)

// clientTrace calls the hooks that a caller has put into its context. It never
// has to be asked whether there are any.
type clientTrace struct{ hooks *httptrace.ClientTrace }

func traceOf(ctx context.Context) clientTrace {
	return clientTrace{httptrace.ContextClientTrace(ctx)}
}

func (t clientTrace) wroteHeaders() {
	if t.hooks != nil && t.hooks.WroteHeaders != nil {
		t.hooks.WroteHeaders()
	}
}

func (t clientTrace) wroteRequest() {
	if t.hooks != nil && t.hooks.WroteRequest != nil {
		t.hooks.WroteRequest(httptrace.WroteRequestInfo{})
	}
}

func (t clientTrace) gotFirstResponseByte() {
	if t.hooks != nil && t.hooks.GotFirstResponseByte != nil {
		t.hooks.GotFirstResponseByte()
	}
}

func (t clientTrace) wait100Continue() {
	if t.hooks != nil && t.hooks.Wait100Continue != nil {
		t.hooks.Wait100Continue()
	}
}

func (t clientTrace) got100Continue() {
	if t.hooks != nil && t.hooks.Got100Continue != nil {
		t.hooks.Got100Continue()
	}
}

func (t clientTrace) got1xxResponse(status int, header textproto.MIMEHeader) error {
	if t.hooks != nil && t.hooks.Got1xxResponse != nil {
		return t.hooks.Got1xxResponse(status, header)
	}
	return nil
}
