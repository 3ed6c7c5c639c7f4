package culvert

import (
	"net/http"

	"golang.org/x/net/http/httpguts"

	"github.com/culvert-http/culvert/internal/bridge"
)

// A request that has no body and asks for no upgrade takes a short way into the
// tunnel: what comes of it is made of the request as net/http has it, without a
// second one, and ends with its response, without a context of its own.

// isBare reports whether a request is its head and nothing else.
func (x *gatewayExchange) isBare() bool {
	return x.r.ContentLength == 0 && len(x.r.Trailer) == 0 && x.upgrade == ""
}

// pass sends a bare request by a transport.
func (x *gatewayExchange) pass(tunnel *Transport, passage gatewayPassage) (*http.Response, error) {
	x.passed = true
	ctx := x.r.Context()
	if x.gateway.config.maxDuration > 0 {
		ctx = x.begin()
		x.boundDuration()
	}
	authority := passage.target.authority
	if authority == "" {
		authority = localAddress(x.r) // no request goes without
	}
	return tunnel.pass(ctx, x.r, &bridge.Passage{
		Inbound:   x.inbound(passage),
		Scheme:    passage.client.scheme,
		Authority: authority,
		Fields:    x.passedFields(passage),
		Passer:    x,
	})
}

// passedFields are the fields that the gateway adds to a bare request.
func (x *gatewayExchange) passedFields(passage gatewayPassage) []bridge.Field {
	fields := x.fields[:0]
	if httpguts.HeaderValuesContainsToken(x.r.Header["Te"], "trailers") {
		fields = append(fields, bridge.Field{Name: "Te", Value: "trailers"}) // true of the tunnel as well
	}
	var earlier http.Header
	if x.trustsSender() {
		earlier = x.r.Header
	}
	fields = passage.client.forwarded(fields, earlier, passage.target.authority)
	for _, entry := range passage.via {
		fields = append(fields, bridge.Field{Name: "Via", Value: entry})
	}
	return fields
}

// Drops implements bridge.Passer. What Connection names is dropped by the bridge.
func (x *gatewayExchange) Drops(name string) bool {
	switch name {
	case "Via", "X-Forwarded-For", "Forwarded":
		return true // in passedFields, with what was before
	default:
		return hopByHop(name, nil) || x.dropsField(name)
	}
}

// Interim implements bridge.Passer.
func (x *gatewayExchange) Interim(status int, header http.Header) error {
	return x.interim(status, header)
}
