package bridge

import (
	"context"
	"errors"
	"net/http/httptrace"
	"net/textproto"

	culvertv1 "github.com/culvert-http/culvert/api/culvert/v1"
)

// clientTrace calls the hooks that a caller has put into its context. It never
// has to be asked whether there are any.
type clientTrace struct {
	hooks  *httptrace.ClientTrace
	fields []tracedField // for those hooks that want to see them
}

// tracedField is a field of a head, with all its values.
type tracedField struct {
	name   string
	values []string
}

// TracedStream is a ClientStream that knows when a request of one message, which is
// all that Send is called for, has been sent. For others that is when Send returns.
type TracedStream interface {
	ClientStream
	// Trace has the hooks called, at most one at a time, that are set in sent:
	// WroteHeaders and WroteRequest. It is called before Send.
	Trace(sent *httptrace.ClientTrace)
}

// errBodyNotSent is why the writing of a request has ended whose server did not need
// the rest of the body.
var errBodyNotSent = errors.New("request body was not sent to its end")

func traceOf(ctx context.Context, head *culvertv1.RequestHead) clientTrace {
	t := clientTrace{hooks: httptrace.ContextClientTrace(ctx)}
	if t.hooks != nil && t.hooks.WroteHeaderField != nil {
		t.fields = tracedFields(head)
	}
	return t
}

// tracedFields returns what net/http says of a head in HTTP/1.1, in copies: hooks can
// be called when the response is there.
func tracedFields(head *culvertv1.RequestHead) []tracedField {
	fields := []tracedField{{"Host", []string{head.GetAuthority()}}}
	for _, field := range head.GetHeaders() {
		value := field.GetValue()
		if raw := field.GetRawValue(); len(raw) > 0 {
			value = string(raw)
		}
		if last := &fields[len(fields)-1]; last.name == field.GetName() {
			last.values = append(last.values, value)
			continue
		}
		fields = append(fields, tracedField{field.GetName(), []string{value}})
	}
	return fields
}

// delegate has the stream tell when the request was sent, if it can.
func (t clientTrace) delegate(stream ClientStream) bool {
	if t.hooks == nil {
		return false
	}
	traced, ok := stream.(TracedStream)
	if ok {
		traced.Trace(&httptrace.ClientTrace{WroteHeaders: t.wroteHeaders, WroteRequest: t.hooks.WroteRequest})
	}
	return ok
}

func (t clientTrace) wroteHeaders() {
	if t.hooks == nil {
		return
	}
	for _, field := range t.fields {
		t.hooks.WroteHeaderField(field.name, field.values)
	}
	if t.hooks.WroteHeaders != nil {
		t.hooks.WroteHeaders()
	}
}

func (t clientTrace) wroteRequest(err error) {
	if t.hooks != nil && t.hooks.WroteRequest != nil {
		t.hooks.WroteRequest(httptrace.WroteRequestInfo{Err: err})
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
