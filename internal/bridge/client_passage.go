package bridge

import (
	"context"
	"fmt"
	"net/http"
	"net/textproto"

	culvertv1 "github.com/culvert-http/culvert/api/culvert/v1"
)

// Passage is what a gateway says of a request without a body that it passes on as
// it has come: of such a request there need not be a second http.Request.
type Passage struct {
	// Inbound has a version and a target.
	Inbound
	// Scheme and Authority are those of the request.
	Scheme, Authority string
	// Fields go with those of the request.
	Fields []Field
	// Passer is the gateway.
	Passer Passer
}

// Field is one field of a head.
type Field struct{ Name, Value string }

// Passer is a gateway's side of a request that it passes on.
type Passer interface {
	// Drops reports whether a field of the request, by its canonical name, stays
	// behind. Those that Connection names do anyway.
	Drops(name string) bool
	// Interim is given each interim response. An error ends the exchange.
	Interim(status int, header http.Header) error
}

// inboundContext is the context of a request that is passed on.
type inboundContext struct {
	context.Context //nolint:containedctx // this is one
	inbound         Inbound
}

// Value implements context.Context.
func (c *inboundContext) Value(key any) any {
	if key == (inboundKey{}) {
		return &c.inbound
	}
	return c.Context.Value(key)
}

// NewPassedRequest is NewClientRequest for a request that a gateway has received
// and passes on. It asks for no upgrade. The exchange ends with ctx. Received is not
// changed, and is the request of the response.
func NewPassedRequest(ctx context.Context, received *http.Request, passage *Passage) (*ClientRequest, error) {
	r := &ClientRequest{request: received, passer: passage.Passer}
	r.passed = inboundContext{Context: ctx, inbound: passage.Inbound}
	r.ctx, r.inbound = &r.passed, &r.passed.inbound
	r.body.whole = true
	if err := r.fillPassage(passage); err != nil {
		return nil, &Error{Cause: culvertv1.Cause_CAUSE_MALFORMED_REQUEST, Err: err}
	}
	r.frame.Head = &r.head
	return r, nil
}

func (r *ClientRequest) fillPassage(passage *Passage) error {
	authority, err := requestAuthority(passage.Authority)
	if err != nil {
		return err
	}
	header := r.request.Header
	if err := checkHeader(header); err != nil {
		return fmt.Errorf("invalid header: %w", err)
	}
	r.head.Scheme, r.head.Authority = passage.Scheme, authority
	r.fillTarget(passage.Target)

	r.fields = newFieldList(len(header) + len(passage.Fields) + 1)
	r.fields.valid = true
	r.fields.addHeader(requestHead, header, func(name string) bool {
		name = textproto.CanonicalMIMEHeaderKey(name)
		return staysBehind(name) || r.passer.Drops(name)
	})
	if r.saysZero() {
		r.fields.addValid("Content-Length", "0")
	}
	for _, field := range passage.Fields {
		r.fields.addValid(field.Name, field.Value)
	}
	r.head.Headers = r.fields.list
	return nil
}
