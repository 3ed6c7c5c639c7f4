// Package oracle compares what an HTTP exchange does through the tunnel with
// what the same exchange does behind plain net/http. It is for tests: a table of
// rows, each a handler and a request, is run by every client that is given, and
// whatever differs from net/http is a fault unless the row, or the table of
// rules that hold for all rows, has a reason for it.
package oracle

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
)

// Version is the version of HTTP that a request is made in.
type Version int

// The versions that net/http serves. HTTP/2 is without TLS, by prior knowledge.
const (
	HTTP10 Version = iota
	HTTP11
	HTTP2
)

// String returns the version as net/http writes it.
func (v Version) String() string {
	switch v {
	case HTTP10:
		return "HTTP/1.0"
	case HTTP11:
		return "HTTP/1.1"
	default:
		return "HTTP/2.0"
	}
}

// Needs is what a row asks of a client beyond a request and a response.
type Needs uint

const (
	// NeedsDuplex means that the client waits for some of the response before it sends
	// the rest of the request.
	NeedsDuplex Needs = 1 << iota
	// NeedsContinue means that the client holds its body back until it is asked for it.
	NeedsContinue
	// NeedsUpgrade means that the connection changes to another protocol.
	NeedsUpgrade
	// NeedsExactTarget means that the request target is one that URL parsers rewrite.
	NeedsExactTarget
	// NeedsRequestTrailers means that the request has a trailer section.
	NeedsRequestTrailers
	// NeedsCut means that the client stops before its request is complete.
	NeedsCut
	// NeedsExactFields means that the fields of the request are ones that HTTP libraries
	// change, or refuse to send.
	NeedsExactFields
)

// Row is one handler and one request to it.
type Row struct {
	// Name is unique in the table.
	Name string
	// Handler is the inner handler. It must not depend on earlier requests.
	Handler http.HandlerFunc
	// Setup makes the handler where it needs something that has to be closed. It
	// is called once for each version, instead of Handler.
	Setup   func(testing.TB) http.Handler
	Request Request
	// Versions are those that the row runs in; none means HTTP/1.1 and HTTP/2.
	Versions []Version
	// Status is what net/http answers, so that a row tests what it says; 0 if it
	// gives no answer.
	Status int
	// Class is how the exchange ends behind net/http.
	Class Class
	// Gaps are the differences that have a reason.
	Gaps []Gap
}

// versions returns the versions that the row runs in.
func (r *Row) versions() []Version {
	if len(r.Versions) == 0 {
		return []Version{HTTP11, HTTP2}
	}
	return r.Versions
}

// Request is what a client sends.
type Request struct {
	// Method is GET if empty.
	Method string
	// Target is the request target as it is sent, "/" if empty.
	Target string
	// Host is "oracle.test" if empty.
	Host string
	// Header has neither Content-Length nor what frames a message in the version;
	// clients add these.
	Header http.Header
	// Body is what is sent, a write for each chunk. nil means that there is no
	// body.
	Body []string
	// Unsized: the client does not say how long the body is.
	Unsized bool
	// Declares is the Content-Length that is sent instead of the true one, if not
	// 0.
	Declares int
	// Trailer is the trailer section. Announcing it is up to Header.
	Trailer http.Header
	// Upgrade is the protocol to upgrade to. Body is sent after the response head.
	Upgrade string
	// Lockstep: each chunk is sent after the response has brought as many bytes as
	// the chunks before it have.
	Lockstep bool
	// Cut: the request stops after its chunks, without an end.
	Cut bool
}

// filled returns the request with its defaults.
func (r Request) filled() Request {
	if r.Method == "" {
		r.Method = http.MethodGet
	}
	if r.Target == "" {
		r.Target = "/"
	}
	if r.Host == "" {
		r.Host = "oracle.test"
	}
	return r
}

// Size returns the length of the body, in bytes.
func (r *Request) Size() int {
	size := 0
	for _, chunk := range r.Body {
		size += len(chunk)
	}
	return size
}

// length returns the Content-Length that is sent, if one is.
func (r *Request) length() (string, bool) {
	switch {
	case r.Body == nil || r.Unsized || r.Upgrade != "":
		return "", false
	case r.Declares != 0:
		return strconv.Itoa(r.Declares), true
	default:
		return strconv.Itoa(r.Size()), true
	}
}

// holdsBack reports whether the body waits for a 100.
func (r *Request) holdsBack() bool {
	return r.Body != nil && strings.EqualFold(r.Header.Get("Expect"), "100-continue")
}

// Needs returns what the request asks of a client.
func (r *Request) Needs() Needs {
	var needs Needs
	for _, need := range []struct {
		is bool
		of Needs
	}{
		{r.Lockstep, NeedsDuplex},
		{r.holdsBack(), NeedsContinue},
		{r.Upgrade != "", NeedsUpgrade},
		{rewritten(r.Target), NeedsExactTarget},
		{len(r.Trailer) > 0, NeedsRequestTrailers},
		{r.Cut, NeedsCut},
		{changed(r.Header), NeedsExactFields},
	} {
		if need.is {
			needs |= need.of
		}
	}
	return needs
}

// rewritten reports whether net/http's client would send another target, or none.
func rewritten(target string) bool {
	if target == "" { // the default
		return false
	}
	parsed, err := url.ParseRequestURI(target)
	return err != nil || parsed.RequestURI() != target || target == "*"
}

// changed reports whether net/http's client would send other fields.
func changed(header http.Header) bool {
	for name, values := range header {
		switch name {
		case "Connection", "Transfer-Encoding", "Content-Length":
			return true
		case "Expect":
			return !strings.EqualFold(values[0], "100-continue")
		}
	}
	return false
}
