package upstream

import (
	"net/http"
	"net/textproto"
	"slices"
	"strings"

	"golang.org/x/net/http/httpguts"
)

// hopByHop reports whether a field, by its canonical name, belongs to one
// connection only [RFC 9110 § 7.6.1].
func hopByHop(name string) bool {
	switch name {
	case "Connection", "Keep-Alive", "Proxy-Connection", "Te", "Transfer-Encoding", "Upgrade":
		return true
	default:
		return false
	}
}

// nominated returns the canonical names in the Connection field, which belong to
// one connection as well.
func nominated(header http.Header) map[string]bool {
	var names map[string]bool
	for _, value := range header["Connection"] {
		for option := range strings.SplitSeq(value, ",") {
			if option = textproto.TrimString(option); option == "" {
				continue
			}
			if names == nil {
				names = make(map[string]bool)
			}
			names[textproto.CanonicalMIMEHeaderKey(option)] = true
		}
	}
	return names
}

// copyEndToEnd adds to dst what of src crosses a hop. The values are shared.
func copyEndToEnd(dst, src http.Header) {
	ofConnection := nominated(src)
	for name, values := range src {
		switch {
		case hopByHop(name), ofConnection[name]:
		case len(dst[name]) == 0, singular(name):
			dst[name] = slices.Clip(values)
		default:
			// A middleware's Vary, say, stands beside the upstream's.
			dst[name] = append(dst[name], values...)
		}
	}
}

// singular reports whether two fields of a name contradict each other.
func singular(name string) bool {
	return name == "Content-Length" || name == "Content-Type" || name == "Date"
}

// validateFields returns what is wrong with a section, empty if nothing is.
func validateFields(header http.Header) string {
	for name, values := range header {
		if !httpguts.ValidHeaderFieldName(name) {
			return "field name is not a token"
		}
		for _, value := range values {
			if !httpguts.ValidHeaderFieldValue(value) {
				return "value of field " + name + " has a control character"
			}
		}
	}
	return ""
}

// upgradeOf returns the protocols that a message asks to upgrade to, or upgrades
// to; empty if none [RFC 9110 § 7.8].
func upgradeOf(header http.Header) string {
	if !httpguts.HeaderValuesContainsToken(header["Connection"], "Upgrade") {
		return ""
	}
	return strings.Join(header["Upgrade"], ", ")
}

// offers reports whether a list of protocols has one, by name and version.
func offers(protocols, protocol string) bool {
	for offered := range strings.SplitSeq(protocols, ",") {
		if strings.EqualFold(textproto.TrimString(offered), textproto.TrimString(protocol)) {
			return true
		}
	}
	return false
}
