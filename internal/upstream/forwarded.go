package upstream

import (
	"net/http"
	"net/netip"
	"strings"

	"github.com/culvert-http/culvert/internal/bridge"
)

// addForwarded tells the upstream who asks: X-Forwarded-*, Forwarded [RFC 7239],
// and Client-Cert. What is there already came from proxies that the caller trusts: lists
// grow at their end, while scheme and host stay those of the first.
func addForwarded(header http.Header, r *http.Request) {
	scheme := bridge.SchemeOf(r)
	address, known := clientAddress(r.RemoteAddr)
	if known {
		appendToList(header, "X-Forwarded-For", address.String())
	}
	if len(header["X-Forwarded-Proto"]) == 0 {
		header["X-Forwarded-Proto"] = []string{scheme}
	}
	if len(header["X-Forwarded-Host"]) == 0 && r.Host != "" {
		header["X-Forwarded-Host"] = []string{r.Host}
	}
	appendToList(header, "Forwarded", forwardedElement(address, known, r.Host, scheme))
	addClientCertificate(header, r)
}

// addClientCertificate tells the upstream the certificate that the client has
// shown and the server has verified. What a trusted peer says of
// its client's stands, and so does that it says nothing.
func addClientCertificate(header http.Header, r *http.Request) {
	if len(header["Client-Cert"]) > 0 || bridge.OfTrustedPeer(r) {
		return
	}
	if certificate := bridge.ClientCertificate(r.TLS); certificate != "" {
		header["Client-Cert"] = []string{certificate}
	}
}

// clientAddress returns the IP address of a RemoteAddr. The peer of a unix socket
// has none.
func clientAddress(remoteAddr string) (netip.Addr, bool) {
	if peer, err := netip.ParseAddrPort(remoteAddr); err == nil {
		return peer.Addr().Unmap(), true
	}
	if address, err := netip.ParseAddr(remoteAddr); err == nil {
		return address.Unmap(), true
	}
	return netip.Addr{}, false
}

func forwardedElement(address netip.Addr, known bool, host, scheme string) string {
	var element strings.Builder
	element.WriteString("for=")
	switch {
	case !known:
		element.WriteString("unknown")
	case address.Is6():
		element.WriteString(`"[` + address.WithZone("").String() + `]"`)
	default:
		element.WriteString(address.String())
	}
	if host != "" {
		element.WriteString(`;host="` + quotedEscaper.Replace(host) + `"`)
	}
	element.WriteString(";proto=" + scheme)
	return element.String()
}

var quotedEscaper = strings.NewReplacer(`\`, `\\`, `"`, `\"`)

// appendToList adds an element to a field whose lines form one list. It makes
// one line of them, for many applications look at the first or the last only.
func appendToList(header http.Header, name, element string) {
	if earlier := header[name]; len(earlier) > 0 {
		element = strings.Join(earlier, ", ") + ", " + element
	}
	header[name] = []string{element}
}

// passed reports whether a pseudonym stands in a Via field [RFC 9110 § 7.6.3].
func passed(via []string, pseudonym string) bool {
	for _, value := range via {
		for element := range strings.SplitSeq(value, ",") {
			if parts := strings.Fields(element); len(parts) >= 2 && parts[1] == pseudonym {
				return true
			}
		}
	}
	return false
}

// viaElement is how a proxy names itself in Via.
func viaElement(r *http.Request, pseudonym string) string {
	version := strings.TrimPrefix(r.Proto, "HTTP/")
	if version == "" {
		version = "1.1"
	}
	return version + " " + pseudonym
}
