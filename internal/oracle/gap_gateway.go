package oracle

// gatewayRules are the gaps of all rows where a gateway stands in front of the
// tunnel: what net/http's server hides from it, and what HTTP has no place for.
func gatewayRules() []Gap {
	through := func(when func(Via) bool) func(Via) bool {
		return func(via Via) bool { return via.Route.Gateway && when(via) }
	}
	const (
		hidden  = "net/http's HTTP/2 server hides Expect from a gateway, and sends the 100 when the body is first read"
		cut     = "a request that is cut short cancels its exchange; what the handler has not read by then is lost"
		noPlace = "HTTP/1.0 has no place for trailers (RFC 9112, section 7.1.2), so a gateway announces none"
	)
	gaps := []Gap{
		{Aspect: "informational", Reason: hidden, When: through(func(via Via) bool {
			return via.Version == HTTP2 && via.Row.Request.holdsBack()
		})},
		{Aspect: "field Trailer", Reason: noPlace, When: through(in(HTTP10))},
	}
	for _, aspect := range []string{"seen body", "seen body error"} {
		gaps = append(gaps, Gap{Aspect: aspect, Reason: cut, When: through(func(via Via) bool { return via.Row.Request.Cut })})
	}
	return gaps
}
