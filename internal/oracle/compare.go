package oracle

import (
	"crypto/sha256"
	"fmt"
	"maps"
	"net/http"
	"net/textproto"
	"slices"
	"strings"
)

// Difference is one thing that two outcomes do not agree in.
type Difference struct {
	// Aspect names what differs: "status", "field Content-Type", "seen body".
	Aspect string
	// Want is what net/http does, Got what the client under test saw. "" means
	// that there is none.
	Want, Got string
}

// String implements fmt.Stringer.
func (d Difference) String() string {
	return fmt.Sprintf("%s: net/http %s, here %s", d.Aspect, orNone(d.Want), orNone(d.Got))
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}

// Compare returns what two outcomes differ in, by name. What belongs to one hop
// only (RFC 9110, section 7.6.1) is not compared, nor is which second it is.
func Compare(want, got *Outcome) []Difference {
	wanted, had := want.aspects(), got.aspects()
	names := slices.Collect(maps.Keys(wanted))
	for name := range had {
		if _, ok := wanted[name]; !ok {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	var differences []Difference
	noResponse := want.Class != got.Class && (got.Status == 0 || got.Class == Refused)
	for _, name := range names {
		if noResponse && name != "class" && (got.Seen == nil || !strings.HasPrefix(name, "seen ")) {
			continue // follows from the class
		}
		if wanted[name] != had[name] {
			differences = append(differences, Difference{Aspect: name, Want: wanted[name], Got: had[name]})
		}
	}
	return differences
}

// aspects writes an outcome down by name, in what is compared.
func (o *Outcome) aspects() map[string]string {
	aspects := map[string]string{"class": o.Class.String()}
	if o.Class == Refused {
		return aspects
	}
	for i, head := range o.Informational {
		fields := make(map[string]string)
		addFields(fields, "", head.Header, head.Status)
		aspects["informational"] += fmt.Sprintf("[%d: %d %v]", i, head.Status, fields)
	}
	if o.Status != 0 {
		aspects["status"] = fmt.Sprint(o.Status)
		aspects["body"] = digest(o.Body)
		addFields(aspects, "field ", o.Header, o.Status)
		addFields(aspects, "trailer ", o.Trailer, o.Status)
	}
	o.Seen.addTo(aspects)
	return aspects
}

func (s *Seen) addTo(aspects map[string]string) {
	if s == nil {
		aspects["seen"] = "nothing"
		return
	}
	aspects["seen method"] = s.Method
	aspects["seen target"] = fmt.Sprintf("%q", s.RequestURI)
	aspects["seen host"] = s.Host
	aspects["seen proto"] = s.Proto
	aspects["seen url"] = s.URL
	aspects["seen remote host"] = s.RemoteHost
	aspects["seen length"] = fmt.Sprint(s.ContentLength)
	aspects["seen coding"] = fmt.Sprint(s.TransferEncoding)
	aspects["seen announced"] = fmt.Sprint(s.Announced)
	aspects["seen body"] = digest(s.Body)
	aspects["seen body error"] = s.BodyErr
	addFields(aspects, "seen field ", s.Header, http.StatusSwitchingProtocols)
	addFields(aspects, "seen trailer ", s.Trailer, 0)
}

// addFields writes a section of fields down, without those of one hop.
func addFields(aspects map[string]string, prefix string, header http.Header, status int) {
	for name, values := range header {
		switch name {
		case "Connection", "Keep-Alive", "Proxy-Connection", "Transfer-Encoding":
			continue
		case "Upgrade":
			if status != http.StatusSwitchingProtocols {
				continue
			}
		case "Date":
			values = slices.Clone(values)
			for i, value := range values {
				if _, err := http.ParseTime(value); err == nil {
					values[i] = "a date"
				}
			}
		case "Trailer":
			values = names(values)
		}
		aspects[prefix+name] = fmt.Sprintf("%q", values)
	}
}

// names returns the elements of a list of field names, in one spelling and
// order.
func names(values []string) []string {
	var all []string
	for _, value := range values {
		for name := range strings.SplitSeq(value, ",") {
			all = append(all, textproto.CanonicalMIMEHeaderKey(strings.TrimSpace(name)))
		}
	}
	slices.Sort(all)
	return all
}

// digest writes a body down, a long one by its hash.
func digest(body string) string {
	const most = 200
	if len(body) <= most {
		return fmt.Sprintf("%q", body)
	}
	return fmt.Sprintf("%q… (%d bytes, sha256 %x)", body[:most/4], len(body), sha256.Sum256([]byte(body)))
}
