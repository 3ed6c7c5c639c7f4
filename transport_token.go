package culvert

// WithToken has the RPCs carry a bearer token in their Authorization field, for a
// server that asks who calls. It is no part of the tunnelled requests, whose own
// Authorization passes untouched. Token is called for each RPC, a session being
// one, maybe at the same time, so that it can return another token in time;
// without one, "", no field is sent. With http, whoever is on the way can read
// it.
func WithToken(token func() string) TransportOption {
	return transportOptionFunc(func(c *transportConfig) { c.token = token })
}
