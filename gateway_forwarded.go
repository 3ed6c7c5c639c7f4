package culvert

import (
	"net/http"
	"net/netip"
	"net/textproto"
	"slices"
	"strings"

	"golang.org/x/net/http/httpguts"

	"github.com/culvert-http/culvert/internal/bridge"
	"github.com/culvert-http/culvert/internal/peerrate"
)

// gatewayClient is for whom a request is sent, as far as the gateway vouches for
// it.
type gatewayClient struct {
	peer    netip.Addr // of the connection; not valid on a unix socket
	node    string     // its text
	address string     // "host:port" of the client; "" if not known
	scheme  string
	// certificate is the value of Client-Cert, "" if the client has shown none.
	certificate string
}

// trustsSender reports whether the fields say the truth about who sent the
// request.
func (x *gatewayExchange) trustsSender() bool {
	if len(x.gateway.trustedNames) > 0 && x.gateway.trustedNames.MatchVerified(x.r.TLS) {
		return true
	}
	if len(x.gateway.config.trusted) == 0 {
		return false
	}
	peer, err := netip.ParseAddrPort(x.r.RemoteAddr)
	return err == nil && containsAddr(x.gateway.config.trusted, peer.Addr())
}

func containsAddr(networks []netip.Prefix, addr netip.Addr) bool {
	addr = addr.Unmap().WithZone("")
	return slices.ContainsFunc(networks, func(network netip.Prefix) bool { return network.Contains(addr) })
}

// client returns for whom the request is: who sent it, or, if that is a trusted
// proxy, the nearest address that it was passed on from and that is not one.
func (x *gatewayExchange) client() gatewayClient {
	client := gatewayClient{address: x.r.RemoteAddr, scheme: "http"}
	if x.r.TLS != nil {
		client.scheme = "https"
	}
	if peer, err := netip.ParseAddrPort(x.r.RemoteAddr); err == nil {
		client.peer = peer.Addr().Unmap().WithZone("")
		client.node, _, _ = strings.Cut(x.r.RemoteAddr, ":") // for IPv4
		if client.peer.Is6() || peer.Addr().Is4In6() {
			client.node = client.peer.String()
		}
	} else {
		client.address = ""
	}
	if !x.trustsSender() {
		client.certificate = bridge.ClientCertificate(x.r.TLS)
		return client
	}
	if addr, ok := nearestUntrusted(x.r.Header["X-Forwarded-For"], x.gateway.config.trusted); ok {
		client.address = netip.AddrPortFrom(addr, 0).String() // the port is not told
	}
	if scheme := strings.ToLower(x.r.Header.Get("X-Forwarded-Proto")); scheme == "http" || scheme == "https" {
		client.scheme = scheme
	}
	return client
}

// rateKey names for whom a request counts: the client that a trusted proxy has
// passed it on for, or else whoever sent it.
func (x *gatewayExchange) rateKey() string {
	if !x.trustsSender() {
		return peerKey(x.r, x.r.RemoteAddr)
	}
	if addr, ok := nearestUntrusted(x.r.Header["X-Forwarded-For"], x.gateway.config.trusted); ok {
		return peerrate.Subscriber(addr).String()
	}
	return peerKey(x.r, x.r.RemoteAddr)
}

// nearestUntrusted reads X-Forwarded-For from its end, which the nearest proxy
// wrote. What stands before an address that is not trusted may be invented.
func nearestUntrusted(values []string, trusted []netip.Prefix) (netip.Addr, bool) {
	var nearest netip.Addr
	hops := strings.Split(strings.Join(values, ","), ",")
	for _, hop := range slices.Backward(hops) {
		addr, err := netip.ParseAddr(strings.TrimSpace(hop))
		if err != nil {
			break
		}
		nearest = addr.Unmap()
		if !containsAddr(trusted, nearest) {
			break
		}
	}
	return nearest, nearest.IsValid()
}

// dropsField reports whether a field of the request goes no further because it
// says, without being believed, for whom the request is sent.
func (x *gatewayExchange) dropsField(name string) bool {
	claims, plain := bridge.ForwardedField(textproto.CanonicalMIMEHeaderKey(name))
	return claims && !(plain && x.trustsSender())
}

// forwarded appends the fields with which the gateway says for whom a request is
// sent. Those in earlier are a trusted proxy's, and go on where nothing takes their
// place.
func (c gatewayClient) forwarded(fields []bridge.Field, earlier http.Header, authority string) []bridge.Field {
	node := "unknown" // RFC 7239 § 6.2
	if c.peer.IsValid() {
		node = c.node
		fields = append(fields, bridge.Field{Name: "X-Forwarded-For", Value: joined(earlier["X-Forwarded-For"], node)})
		if c.peer.Is6() {
			node = "[" + node + "]"
		}
	}
	if len(earlier["X-Forwarded-Proto"]) == 0 {
		fields = append(fields, bridge.Field{Name: "X-Forwarded-Proto", Value: c.scheme})
	}
	var room [128]byte
	element := appendQuoted(append(room[:0], "for="...), node)
	if authority != "" {
		if len(earlier["X-Forwarded-Host"]) == 0 {
			fields = append(fields, bridge.Field{Name: "X-Forwarded-Host", Value: authority})
		}
		element = appendQuoted(append(element, ";host="...), authority)
	}
	element = append(append(element, ";proto="...), c.scheme...)
	fields = append(fields, bridge.Field{Name: "Forwarded", Value: joined(earlier["Forwarded"], string(element))})
	if c.certificate != "" {
		fields = append(fields, bridge.Field{Name: "Client-Cert", Value: c.certificate})
	}
	return fields
}

// joined appends an element to a list field.
func joined(values []string, element string) string {
	if len(values) == 0 {
		return element
	}
	return strings.Join(values, ", ") + ", " + element
}

// quoted returns s as a token if it is one, else as a quoted-string.
func quoted(s string) string { return string(appendQuoted(nil, s)) }

func appendQuoted(b []byte, s string) []byte {
	if httpguts.ValidHeaderFieldName(s) { // a field name is a token
		return append(b, s...)
	}
	b = append(b, '"')
	for _, c := range []byte(s) {
		if c == '\\' || c == '"' {
			b = append(b, '\\')
		}
		b = append(b, c)
	}
	return append(b, '"')
}
