package culvert

import (
	"context"
	"net/http"
	"net/textproto"
	"strings"

	"golang.org/x/net/http/httpguts"

	culvertv1 "github.com/culvert-http/culvert/api/culvert/v1"
	"github.com/culvert-http/culvert/internal/bridge"
)

// gatewayPassage is what a request says on its way on that it did not say when it
// came.
type gatewayPassage struct {
	target gatewayTarget
	client gatewayClient
	via    []string
}

// examine says how the request goes on, or why it does not.
func (x *gatewayExchange) examine() (gatewayPassage, *gatewayRefusal) {
	switch {
	case x.r.Method == http.MethodConnect:
		return gatewayPassage{}, refusedConnect
	case !httpguts.ValidHeaderFieldName(x.r.Method): // both are tokens
		return gatewayPassage{}, refusedMethod
	case !lengthHolds(x.r):
		return gatewayPassage{}, refusedLength
	}
	target, ok := parseTarget(x.r)
	if !ok {
		return gatewayPassage{}, refusedTarget
	}
	if refusal := x.gateway.via.refusal(x.r.Header, x.gateway.config.maxHops); refusal != nil {
		return gatewayPassage{}, refusal
	}
	x.upgrade = upgradeOf(x.r)
	return gatewayPassage{target: target, client: x.client(), via: x.gateway.via.append(x.r)}, nil
}

// inbound is the passage for the transport.
func (x *gatewayExchange) inbound(passage gatewayPassage) bridge.Inbound {
	return bridge.Inbound{
		Version:       versionOf(x.r),
		ClientAddress: passage.client.address,
		Target:        passage.target.path,
		Via:           passage.via,
		CarriedVia:    x.r.Header[carriedVia],
	}
}

// send has the RoundTripper carry the request.
func (x *gatewayExchange) send(passage gatewayPassage) (*http.Response, error) {
	if tunnel, ok := x.gateway.transport.(*Transport); ok && x.isBare() {
		return x.pass(tunnel, passage)
	}
	return x.gateway.transport.RoundTrip(x.request(passage))
}

// request makes the request that the RoundTripper gets.
func (x *gatewayExchange) request(passage gatewayPassage) *http.Request {
	target, client, inbound := passage.target, passage.client, x.inbound(passage)
	ctx := bridge.WithInbound(x.withInterim(x.begin()), &inbound)
	out := x.r.WithContext(ctx)
	out.Header = x.requestFields()
	for _, field := range client.forwarded(nil, out.Header, target.authority) {
		out.Header[field.Name] = []string{field.Value}
	}
	out.Header["Via"] = passage.via
	if _, ok := out.Header["User-Agent"]; !ok {
		out.Header["User-Agent"] = nil // or net/http puts in its own
	}
	out.Host = target.authority
	out.URL = target.url(client.scheme, x.r)
	out.RequestURI = ""
	out.Close = false // about the client's connection
	out.TransferEncoding = nil
	x.attachBody(ctx, out)
	x.boundDuration()
	return out
}

// begin returns the context of what the RoundTripper does, which ends with the
// exchange and after the time that it may take.
func (x *gatewayExchange) begin() context.Context {
	if limit := x.gateway.config.maxDuration; limit > 0 {
		x.over, x.cancel = context.WithTimeout(x.r.Context(), limit)
	} else {
		x.over, x.cancel = context.WithCancel(x.r.Context())
	}
	return x.over
}

// boundDuration has whatever waits for the client be interrupted when the time of
// the exchange is over.
func (x *gatewayExchange) boundDuration() {
	if x.gateway.config.maxDuration == 0 {
		return
	}
	stop := context.AfterFunc(x.over, func() {
		if x.tooLong() {
			x.interruptResponse()
			x.body.interrupt()
		}
	})
	cancel := x.cancel
	x.cancel = func() {
		stop()
		cancel()
	}
}

// interruptResponse ends a write of the response that waits for the client. An
// answer of the gateway's own may still be written.
func (x *gatewayExchange) interruptResponse() {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.wroteHead && !x.refused {
		x.w.interrupt()
	}
}

// tooLong reports whether the time of the exchange is over.
func (x *gatewayExchange) tooLong() bool {
	return x.over != nil && x.over.Err() == context.DeadlineExceeded
}

// lengthHolds reports whether Content-Length says what net/http takes for the
// length of the body. In HTTP/2 it takes the first of several, and none for what
// is no number, and so hands out a body that is cut short.
func lengthHolds(r *http.Request) bool {
	values, ok := r.Header["Content-Length"]
	if !ok {
		return true
	}
	length, err := contentLength(http.Header{"Content-Length": values})
	return err == nil && length == r.ContentLength
}

// versionOf is the version of HTTP that a request came by.
func versionOf(r *http.Request) culvertv1.HTTPVersion {
	switch {
	case r.ProtoMajor == 3:
		return culvertv1.HTTPVersion_HTTP_VERSION_3_0
	case r.ProtoMajor == 2:
		return culvertv1.HTTPVersion_HTTP_VERSION_2_0
	case r.ProtoAtLeast(1, 1):
		return culvertv1.HTTPVersion_HTTP_VERSION_1_1
	default:
		return culvertv1.HTTPVersion_HTTP_VERSION_1_0
	}
}

// requestFields returns the fields of the request that cross the gateway. The
// values stay where they are: a RoundTripper does not change them.
func (x *gatewayExchange) requestFields() http.Header {
	in := x.r.Header
	out := make(http.Header, len(in)+6) // with those that say for whom it is
	for name, values := range in {
		if hopByHop(name, in["Connection"]) || x.dropsField(name) {
			continue
		}
		out[name] = values
	}
	if httpguts.HeaderValuesContainsToken(in["Te"], "trailers") {
		out["Te"] = []string{"trailers"} // true of the tunnel as well
	}
	if x.upgrade != "" {
		out["Connection"] = []string{"Upgrade"}
		out["Upgrade"] = []string{x.upgrade}
	}
	return out
}

// hopByHop reports whether a field belongs to one hop only [RFC 9110 § 7.6.1].
func hopByHop(name string, connection []string) bool {
	switch textproto.CanonicalMIMEHeaderKey(name) {
	case "Connection", "Keep-Alive", "Proxy-Connection", "Te", "Transfer-Encoding", "Upgrade", "Trailer":
		return true
	}
	return len(connection) > 0 && httpguts.HeaderValuesContainsToken(connection, name)
}

// upgradeOf returns what the client asks to upgrade to. HTTP/1.0 cannot ask, and
// a version of HTTP is between the client and the gateway. A request with a body
// goes on without the upgrade, as RFC 9110 § 7.8 allows: nobody sends one.
func upgradeOf(r *http.Request) string {
	if r.ProtoMajor != 1 || r.ProtoMinor < 1 || r.ContentLength != 0 ||
		!httpguts.HeaderValuesContainsToken(r.Header["Connection"], "Upgrade") {
		return ""
	}
	upgrade := textproto.TrimString(strings.Join(r.Header["Upgrade"], ", "))
	lower := strings.ToLower(upgrade)
	if strings.Contains(lower, "h2c") || strings.Contains(lower, "http/") || strings.Contains(lower, "tls/") {
		return ""
	}
	return upgrade
}

// attachBody gives out the body of the request, if it has one.
func (x *gatewayExchange) attachBody(ctx context.Context, out *http.Request) {
	if x.r.ContentLength == 0 && len(x.r.Trailer) == 0 {
		out.Body = http.NoBody
		out.Trailer = nil
		if !x.waitsKnowingly() && httpguts.HeaderValuesContainsToken(x.r.Header["Expect"], "100-continue") {
			delete(out.Header, "Expect") // net/http's transport would wait, with nothing to send
		}
		return
	}
	x.body = x.newBody(ctx)
	if x.r.ProtoMajor == 1 && httpguts.HeaderValuesContainsToken(x.r.Header["Expect"], "100-continue") {
		x.expectContinue(out)
	}
	if x.r.ContentLength <= 0 {
		out.ContentLength = -1
	}
	out.Body = x.body
	out.Trailer = x.announcedTrailer()
	x.body.trailer = out.Trailer
}

// expectContinue prepares for a client that waits to be asked for its body. HTTP/2
// does not get here: net/http hides the field, and asks at the first read.
func (x *gatewayExchange) expectContinue(out *http.Request) {
	if x.r.ProtoMinor == 0 {
		delete(out.Header, "Expect") // RFC 9110 § 10.1.1
		return
	}
	x.body.ask = x.sendContinue
	if !x.waitsKnowingly() {
		x.body.hold()
	}
}

// waitsKnowingly reports whether the RoundTripper itself reads a body that waits
// for a 100 no earlier than that comes, and waits for nothing where there is none.
func (x *gatewayExchange) waitsKnowingly() bool {
	_, ok := x.gateway.transport.(*Transport)
	return ok
}

// announcedTrailer returns the trailer section as it is known before the body's
// end. It is never nil where there can be one, so that it can grow: HTTP/1.1
// need not announce what it sends.
func (x *gatewayExchange) announcedTrailer() http.Header {
	if x.r.ContentLength > 0 && len(x.r.Trailer) == 0 {
		return nil
	}
	trailer := make(http.Header, len(x.r.Trailer))
	for name := range x.r.Trailer {
		if x.requestTrails(name) {
			trailer[name] = nil
		}
	}
	return trailer
}

// requestTrails reports whether a field may stand in the request's trailer
// section.
func (x *gatewayExchange) requestTrails(name string) bool {
	return mayTrail(name) && !x.dropsField(name)
}

// mayTrail reports whether a field may stand in a trailer section.
func mayTrail(name string) bool {
	return httpguts.ValidTrailerHeader(name) && !hopByHop(name, nil)
}
