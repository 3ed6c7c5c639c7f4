package culvert

import (
	"context"
	"maps"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
)

// withInterim returns a context whose 1xx responses the exchange passes on.
func (x *gatewayExchange) withInterim(ctx context.Context) context.Context {
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		Got1xxResponse: func(code int, header textproto.MIMEHeader) error {
			return x.interim(code, http.Header(header))
		},
	})
}

// interim passes a 1xx response on. An error ends the exchange.
func (x *gatewayExchange) interim(code int, header http.Header) error {
	if code < 100 || code > 199 || code == http.StatusSwitchingProtocols {
		return malformedResponse("%d is not the status of an interim response", code)
	}
	fields, err := endToEnd(header)
	if err != nil {
		return err
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	again := code == http.StatusContinue && x.continued
	// HTTP/1.0 has no 1xx responses [RFC 9110 § 15.2].
	if !x.wroteHead && !again && x.r.ProtoAtLeast(1, 1) {
		x.writeInterim(code, fields)
	}
	if code == http.StatusContinue {
		x.body.open()
	}
	return nil
}

// sendContinue lets a client that waits for a word send its body. net/http would
// do so by itself at the first read, but on the reader's goroutine, while another
// may be writing.
func (x *gatewayExchange) sendContinue() {
	x.mu.Lock()
	defer x.mu.Unlock()
	if !x.wroteHead && !x.continued {
		x.writeInterim(http.StatusContinue, nil)
	}
}

// writeInterim writes a 1xx response with its own fields and no others: those
// that a handler around the gateway has set are for the final head, and wait. The
// caller holds mu.
func (x *gatewayExchange) writeInterim(code int, fields http.Header) {
	header := x.w.Header()
	outer := maps.Clone(header)
	clear(header)
	maps.Copy(header, fields)
	x.w.WriteHeader(code)
	clear(header)
	maps.Copy(header, outer)
	x.continued = x.continued || code == http.StatusContinue
}
