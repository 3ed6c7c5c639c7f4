package oracle

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Gap is a difference to net/http that has a reason.
type Gap struct {
	// Aspect is what differs, as Difference has it. A trailing * stands for any
	// rest.
	Aspect string
	// When says where; nil means everywhere.
	When func(Via) bool
	// Values are those of the field that the gap explains, and no others; nil means
	// any.
	Values func(Via) []string
	// Reason says why, for whoever reads the report.
	Reason string
	// Sometimes says that the difference does not show every time.
	Sometimes bool
}

// Via is how an exchange is carried.
type Via struct {
	Row     *Row
	Version Version
	// Class is how the exchange ends behind net/http.
	Class Class
	// Route is what Client.Route says.
	Route Route
}

// Route is the way that a client takes.
type Route struct {
	// Method is the RPC that carries exchanges, "" for a client that has none, or
	// that chooses.
	Method string
	// Packed: the first message has as much as fits, the end included.
	Packed bool
	// Direct: there is no tunnel.
	Direct bool
	// Library: an HTTP client library makes the request, with its own ideas.
	Library bool
	// Proxy: the tunnel ends in a proxy, to a server that has the handlers.
	Proxy bool
	// Gateway: the client's server is a gateway to the tunnel.
	Gateway bool
}

// Whole reports whether the request is one message.
func (r Route) Whole() bool { return r.Method == "Call" || r.Method == "Download" }

// Buffered reports whether the response is one message.
func (r Route) Buffered() bool { return r.Method == "Call" || r.Method == "Upload" }

// requestVersion is the version of requests as the end of the tunnel sees it.
func (v Via) requestVersion() Version {
	if v.Route.Library && !v.Route.Gateway {
		return HTTP11 // an http.Request has no other
	}
	return v.Version
}

// direct restricts a gap to clients that do not use the tunnel.
func direct(via Via) bool { return via.Route.Direct }

// asked restricts a gap to versions in which net/http's client asks the server that
// has the handler.
func asked(versions ...Version) func(Via) bool {
	return func(via Via) bool {
		return (via.Route.Direct || via.Route.Proxy) && slices.Contains(versions, via.Version)
	}
}

// bare restricts a gap to clients without a gateway, at which net/http's server
// does what it does at the handler, and to handlers in process.
func bare(via Via) bool { return !via.Route.Gateway && !via.Route.Proxy }

// bareIn restricts a gap to versions, without a gateway or a proxy.
func bareIn(versions ...Version) func(Via) bool {
	return func(via Via) bool { return bare(via) && slices.Contains(versions, via.Version) }
}

// inProcess restricts a gap to handlers at the end of the tunnel, in versions. Of
// those behind a proxy net/http's server is the first to answer.
func inProcess(versions ...Version) func(Via) bool {
	return func(via Via) bool { return !via.Route.Proxy && slices.Contains(versions, via.Version) }
}

// in restricts a gap to versions.
func in(versions ...Version) func(Via) bool {
	return func(via Via) bool { return slices.Contains(versions, via.Version) }
}

// rules are the gaps of all rows: what the protocol itself says.
func rules() []Gap {
	noResponse := func(via Via) bool { return via.Route.Buffered() && via.Class != Complete }
	neverWaits := func(via Via) bool {
		return via.Row.Request.holdsBack() && via.Route.Method != "" && via.Route.Method != "Exchange"
	}
	addsLength := func(via Via) bool {
		return via.Route.Library && wantsLength(via)
	}
	const (
		buffered = "Call and Upload answer in one message: a response that is cut short is an error and nothing else"
		length   = "a message that is the whole request shows how long the body is (protocol, 8.7)"
		agent    = "net/http's clients, the proxy's over HTTP/2 too, send one User-Agent at most, and none that is empty"
		wait     = "Call, Upload and Download never wait: no 100 is made for them (protocol, 6)"
	)
	gaps := []Gap{
		{Aspect: "seen field Content-Length", When: addsLength, Values: sent("0"), Reason: "HTTP libraries send Content-Length: 0 with methods that have a body"},
		{Aspect: "seen field User-Agent", When: oneAgent, Values: firstAgent, Reason: agent},
		{Aspect: "seen length", When: lengthShown, Reason: length},
		{Aspect: "seen coding", When: lengthShown, Reason: length},
		{Aspect: "informational", When: neverWaits, Reason: wait},
	}
	for _, aspect := range []string{"status", "field *", "body", "trailer *", "informational"} {
		gaps = append(gaps, Gap{Aspect: aspect, When: noResponse, Reason: buffered})
	}
	return slices.Concat(gaps, viaRules(), gatewayRules(), proxyRules())
}

// lengthShown reports whether a body that is sent without its length reaches the
// handler with it.
func lengthShown(via Via) bool {
	r := &via.Row.Request
	return r.Unsized && r.Body != nil && len(r.Trailer) == 0 && r.Upgrade == "" &&
		(via.Route.Whole() || via.Route.Packed && r.Size() == 0)
}

// oneAgent reports whether one of net/http's clients is on the way, or what is like it.
func oneAgent(via Via) bool {
	return via.Route.Library && !via.Route.Gateway || via.Route.Proxy && via.Version == HTTP2
}

// firstAgent returns the User-Agent that is left by one of net/http's clients.
func firstAgent(via Via) []string {
	if first := via.Row.Request.Header.Get("User-Agent"); first != "" {
		return []string{first}
	}
	return nil
}

// sent returns the values of a field that are the same for every row.
func sent(values ...string) func(Via) []string { return func(Via) []string { return values } }

// explains reports whether the gap is the difference.
func (g *Gap) explains(d Difference, via Via) bool {
	prefix, open := strings.CutSuffix(g.Aspect, "*")
	if d.Aspect != g.Aspect && !(open && strings.HasPrefix(d.Aspect, prefix)) {
		return false
	}
	if g.Values != nil && gatewayName.ReplaceAllString(d.Got, "culvert") != written(g.Values(via)) {
		return false
	}
	return g.When == nil || g.When(via)
}

// gatewayName is what a gateway calls itself: each has a name of its own.
var gatewayName = regexp.MustCompile(`culvert-[0-9A-Z]{8}\b`)

// written returns the values of a field as Difference has them.
func written(values []string) string {
	if values == nil {
		return ""
	}
	return fmt.Sprintf("%q", values)
}
