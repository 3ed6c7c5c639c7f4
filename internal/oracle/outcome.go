package oracle

import "net/http"

// Class is how an exchange ends.
type Class int

const (
	// Complete means that the response was whole.
	Complete Class = iota
	// Cut means that the response was cut short, and the client could tell.
	Cut
	// Failed means that the exchange ended without a response, after the handler was
	// called.
	Failed
	// Refused means that the request was refused before the handler was called.
	Refused
)

// String implements fmt.Stringer.
func (c Class) String() string {
	return [...]string{"complete", "cut", "failed", "refused"}[c]
}

// Informational is a response of status 1xx.
type Informational struct {
	Status int
	Header http.Header
}

// Outcome is what a client saw of an exchange, and what its handler did. Clients
// leave Seen alone: it is filled in for them.
type Outcome struct {
	Class Class
	// Status is 0 if there was no response.
	Status        int
	Informational []Informational
	// Header is the header section as it came, with Trailer and Content-Length.
	Header  http.Header
	Body    string
	Trailer http.Header
	// Err is what was seen of a failure. It is for reports, and not compared.
	Err error
	// Seen is what the handler saw, nil if it was not called.
	Seen *Seen
}

// Seen is what a handler saw of a request.
type Seen struct {
	Method, RequestURI, Host, Proto string
	// URL has the fields of the URL, as %#v has them.
	URL        string
	RemoteHost string
	Header     http.Header
	// ContentLength is -1 if it was not known.
	ContentLength    int64
	TransferEncoding []string
	// Announced are the names of the trailer section before the body was read.
	Announced []string
	// Body is what was read of the body, and BodyErr how reading it ended: "" if
	// it was not read to its end.
	Body, BodyErr string
	// Trailer is the trailer section when the handler returned.
	Trailer http.Header
}
