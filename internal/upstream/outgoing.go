package upstream

import (
	"context"
	"maps"
	"net/http"
	"net/textproto"
	"slices"
	"strings"

	"golang.org/x/net/http/httpguts"
)

// outgoing is a request as the upstream is to get it.
type outgoing struct {
	ctx           context.Context
	method        string
	scheme        string
	authority     string
	target        string // origin form, or *
	header        http.Header
	trailer       http.Header // announced names; filled when the body has ended
	contentLength int64       // -1 if not known
	zeroLength    bool        // the client said that there is no body
	upgrade       string      // protocols that the client asks for
	body          *requestBody
	informational func(status int, header http.Header) error
	sent          func() // called when a request without a body is on its way
}

// chunked reports whether the body goes over HTTP/1.1 in chunks, which it has to
// where trailers may follow it [RFC 9112 § 7.1.2].
func (out *outgoing) chunked() bool { return out.contentLength < 0 || len(out.trailer) > 0 }

// invalidRequestError is the error of a request that cannot be forwarded. Its text is
// about what the client sent.
type invalidRequestError string

func (e invalidRequestError) Error() string { return "invalid request: " + string(e) }

func newOutgoing(p *Proxy, r *http.Request) (*outgoing, error) {
	requestTarget, err := targetOf(r)
	if err != nil {
		return nil, err
	}
	out := &outgoing{
		method:        defaultTo(r.Method, http.MethodGet),
		scheme:        p.target.scheme(),
		authority:     defaultTo(p.options.Host, defaultTo(r.Host, p.target.authority)),
		target:        requestTarget,
		contentLength: r.ContentLength,
		zeroLength:    r.Header.Get("Content-Length") == "0",
		upgrade:       upgradeOf(r.Header),
	}
	if err := out.validate(); err != nil {
		return nil, err
	}
	if err := out.setHeader(p, r); err != nil {
		return nil, err
	}
	return out, nil
}

func (out *outgoing) validate() error {
	switch {
	case !httpguts.ValidHeaderFieldName(out.method):
		return invalidRequestError("method is not a token")
	case out.method == http.MethodConnect:
		return invalidRequestError("CONNECT is not supported")
	case !httpguts.ValidHeaderFieldValue(out.upgrade):
		return invalidRequestError("value of field Upgrade has a control character")
	case !validAuthority(out.authority):
		return invalidRequestError("authority is not valid")
	default:
		return nil
	}
}

func (out *outgoing) setHeader(p *Proxy, r *http.Request) error {
	out.header = make(http.Header, len(r.Header)+5)
	copyEndToEnd(out.header, r.Header)
	delete(out.header, "Host")
	delete(out.header, "Content-Length")
	if httpguts.HeaderValuesContainsToken(r.Header["Te"], "trailers") {
		out.header["Te"] = []string{"trailers"}
	}
	if len(r.Trailer) > 0 {
		delete(out.header, "Trailer")
		out.trailer = make(http.Header, len(r.Trailer))
		for name := range r.Trailer {
			if forwardableTrailer(name) {
				out.trailer[name] = nil
			}
		}
	}
	if !p.options.OmitForwarded {
		addForwarded(out.header, r)
	}
	if pseudonym := p.options.Via; pseudonym != "" {
		if passed(r.Header["Via"], pseudonym) {
			return errLoop
		}
		appendToList(out.header, "Via", viaElement(r, pseudonym))
	}
	if wrong := validateFields(out.header); wrong != "" {
		return invalidRequestError(wrong)
	}
	return nil
}

// targetOf returns the request target in origin form, byte for byte as the client
// sent it.
func targetOf(r *http.Request) (string, error) {
	raw := r.RequestURI
	if raw == "" {
		raw = r.URL.RequestURI()
	}
	for i := range len(raw) {
		if raw[i] <= ' ' || raw[i] == 0x7f {
			return "", invalidRequestError("request target has a control character or a space")
		}
	}
	if raw == "*" && r.Method == http.MethodOptions || strings.HasPrefix(raw, "/") {
		return raw, nil
	}
	// The absolute form, as clients of a proxy send it, becomes the origin form.
	_, rest, ok := strings.Cut(raw, "://")
	if !ok {
		return "", invalidRequestError("request target is neither a path nor absolute")
	}
	if i := strings.IndexAny(rest, "/?"); i >= 0 {
		rest = rest[i:]
		if rest[0] == '?' {
			rest = "/" + rest
		}
		return rest, nil
	}
	return "/", nil
}

// validAuthority reports whether an authority can stand in a Host field and in
// :authority alike.
func validAuthority(authority string) bool {
	for i := range len(authority) {
		if authority[i] <= ' ' || authority[i] >= 0x7f {
			return false
		}
	}
	return httpguts.ValidHostHeader(authority) && !strings.ContainsAny(authority, "/?#@")
}

// forwardableTrailer reports whether a field may stand in a trailer section that
// crosses a hop [RFC 9110 § 6.5.1].
func forwardableTrailer(name string) bool {
	return httpguts.ValidHeaderFieldName(name) && httpguts.ValidTrailerHeader(name) && !hopByHop(name)
}

// fillTrailer takes over the trailer section of the client's request, which is
// complete once its body has ended. HTTP/1.1 carries fields that were not
// announced too, and HTTP/2 only those that were.
func (out *outgoing) fillTrailer(trailer http.Header) {
	for name, values := range trailer {
		name = textproto.CanonicalMIMEHeaderKey(name)
		if len(values) == 0 || !forwardableTrailer(name) || validateFields(http.Header{name: values}) != "" {
			continue
		}
		if out.trailer == nil {
			out.trailer = make(http.Header)
		}
		out.trailer[name] = values
	}
}

// announced returns the names of a trailer section in the form of a Trailer
// field, empty if there are none.
func announced(trailer http.Header) string {
	return strings.Join(slices.Sorted(maps.Keys(trailer)), ", ")
}
