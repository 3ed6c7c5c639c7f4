package culvert

import (
	"crypto/rand"
	"iter"
	"net/http"
	"slices"
	"strings"

	"github.com/culvert-http/culvert/internal/bridge"
)

// pseudonym is how gateways name themselves in Proxy-Status, instead of with a
// host name, which is nobody's business. In Via a part that is a gateway's own
// follows.
const pseudonym = "culvert"

// carriedVia is the field of an RPC with the Via of the request for which it was
// begun. Its own Via would tell the server of an intermediary, and make it advise
// against sessions.
const carriedVia = "Culvert-Via"

// gatewayVia is a gateway's entry in Via [RFC 9110 § 7.6.3], by the version of
// HTTP that a request comes by. A gateway that reads its own name there has sent
// the request before.
type gatewayVia struct {
	name                  string
	http10, http11, http2 []string // one entry each
}

func newGatewayVia() gatewayVia {
	name := pseudonym + "-" + rand.Text()[:8]
	return gatewayVia{
		name:   name,
		http10: []string{"1.0 " + name},
		http11: []string{"1.1 " + name},
		http2:  []string{"2 " + name},
	}
}

// append returns the Via of a request as it goes on, with the gateway's entry.
func (v *gatewayVia) append(r *http.Request) []string {
	own := v.http10
	switch {
	case r.ProtoMajor == 2:
		own = v.http2
	case r.ProtoAtLeast(1, 1):
		own = v.http11
	}
	if earlier := r.Header["Via"]; len(earlier) > 0 {
		return append(slices.Clip(earlier), own...)
	}
	return own
}

// refusal refuses a request that has passed the gateway before, or too many
// others. Where the request is an RPC of Culvert's, as it is where a gateway has
// another one for its server, what that carries has passed those as well.
func (v *gatewayVia) refusal(header http.Header, maxHops int) *gatewayRefusal {
	hops := 0
	for _, field := range [...][]string{header["Via"], header[carriedVia]} {
		for name := range viaNames(field) {
			if name == v.name {
				return refusedLoop
			}
			hops++
		}
	}
	if hops >= maxHops {
		return refusedHops
	}
	return nil
}

// viaNames yields the gateways of Culvert in a Via field.
func viaNames(values []string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, value := range values {
			for entry := range strings.SplitSeq(value, ",") {
				fields := strings.Fields(entry)
				if len(fields) > 1 && isGateway(fields[1]) && !yield(fields[1]) {
					return
				}
			}
		}
	}
}

func isGateway(name string) bool {
	const longest = 32 // or somebody else has made it up
	rest, ok := strings.CutPrefix(name, pseudonym)
	return ok && len(name) <= longest && (rest == "" || rest[0] == '-')
}

// viaOfRPC returns carriedVia for an RPC that is begun for a request of a
// gateway's, empty if there is nothing to tell. Of Via only the gateways of
// Culvert are of interest, of which there are few.
func viaOfRPC(inbound *bridge.Inbound) []string {
	if len(inbound.CarriedVia) == 0 && len(inbound.Via) <= 1 { // the gateway's own
		return inbound.Via
	}
	var entries []string
	for _, field := range [...][]string{inbound.CarriedVia, inbound.Via} {
		for name := range viaNames(field) {
			entries = append(entries, "1.1 "+name)
		}
	}
	return []string{strings.Join(entries, ", ")}
}
