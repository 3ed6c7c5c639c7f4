package bridge

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/textproto"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/net/http/httpguts"

	culvertv1 "github.com/culvert-http/culvert/api/culvert/v1"
)

// Origin is what the server itself knows of the RPC that carries an exchange.
type Origin struct {
	// Scheme and Authority are the RPC's, for requests that have none.
	Scheme, Authority string
	// RemoteAddr is the RPC peer's address, "host:port".
	RemoteAddr string
	// TLS is the state of the RPC's connection, nil without TLS.
	TLS *tls.ConnectionState
	// Trusted says that the peer is believed when it vouches for a client address,
	// and that its forwarded fields are passed on.
	Trusted bool
	// Ends says that the context can end before the client does. What its cause is
	// as an *Error is why the exchange has ended then.
	Ends bool
	// Streaming says that both directions are streams, so that the exchange can
	// upgrade, and the client can be told that it was accepted.
	Streaming bool
	// Whole says that the request is all in its first message.
	Whole bool
}

// unknownLength is the length of a body that nobody has declared.
const unknownLength = -1

var blank http.Request

// newRequest makes of a first frame what net/http's own server would have made of the
// same request. The body is still to be set.
func (s *Server) newRequest(ctx context.Context, first *culvertv1.RequestFrame, origin *Origin) (*http.Request, *Error) {
	head := first.GetHead()
	target, err := requestTarget(head)
	if err != nil {
		return nil, malformed("request head: %w", err)
	}
	if over := s.Limits.exceededBy(head.GetHeaders(), len(target)+len(head.GetMethod())+len(head.GetAuthority())); over != "" {
		return nil, overLimit(culvertv1.Cause_CAUSE_REQUEST_HEAD_TOO_LARGE, "request head: %s", over)
	}
	r := blank.WithContext(ctx) // one copy, where a request with fields would be two
	r.Method = head.GetMethod()
	r.Host = head.GetAuthority()
	r.RequestURI = target
	r.RemoteAddr = origin.RemoteAddr
	r.TLS = origin.TLS
	if err := fillRequest(r, head, origin); err != nil {
		return nil, malformed("request head: %w", err)
	}
	joinCookies(r.Header)
	announceTrailers(r)
	s.setUpgrade(r, first, origin)
	return r, nil
}

// fillRequest sets all that follows from the head alone.
func fillRequest(r *http.Request, head *culvertv1.RequestHead, origin *Origin) (err error) {
	if err := setVersion(r, head.GetHttpVersion()); err != nil {
		return err
	}
	if err := setMethod(r); err != nil {
		return err
	}
	if err := setAuthority(r, head.GetScheme(), origin); err != nil {
		return err
	}
	if r.URL, err = parseTarget(r.Method, r.RequestURI); err != nil {
		return err
	}
	if r.Header, err = decodeFields(head.GetHeaders(), requestHead); err != nil {
		return err
	}
	if r.ContentLength, err = contentLength(r.Header); err != nil {
		return err
	}
	return setClient(r, head, origin)
}

func requestTarget(head *culvertv1.RequestHead) (string, error) {
	path, raw := head.GetPath(), head.GetRawPath()
	switch {
	case path != "" && len(raw) > 0:
		return "", errors.New("both a path and a raw path")
	case len(raw) > 0:
		return string(raw), nil
	case path == "":
		return "/", nil
	default:
		return path, nil
	}
}

func setVersion(r *http.Request, version culvertv1.HTTPVersion) error {
	switch version {
	case culvertv1.HTTPVersion_HTTP_VERSION_1_0:
		r.Proto, r.ProtoMajor, r.ProtoMinor = "HTTP/1.0", 1, 0
	case culvertv1.HTTPVersion_HTTP_VERSION_UNSPECIFIED, culvertv1.HTTPVersion_HTTP_VERSION_1_1:
		r.Proto, r.ProtoMajor, r.ProtoMinor = "HTTP/1.1", 1, 1
	case culvertv1.HTTPVersion_HTTP_VERSION_2_0:
		r.Proto, r.ProtoMajor, r.ProtoMinor = "HTTP/2.0", 2, 0
	case culvertv1.HTTPVersion_HTTP_VERSION_3_0:
		r.Proto, r.ProtoMajor, r.ProtoMinor = "HTTP/3.0", 3, 0
	default:
		return fmt.Errorf("HTTP version %d is not known", version)
	}
	return nil
}

func setMethod(r *http.Request) error {
	switch {
	case r.Method == "":
		r.Method = http.MethodGet
	case r.Method == http.MethodConnect:
		return errors.New("method CONNECT is refused: there is no tunnel through the tunnel")
	case !httpguts.ValidHeaderFieldName(r.Method): // both are tokens
		return fmt.Errorf("method %q is not a token", clip(r.Method))
	}
	return nil
}

func setAuthority(r *http.Request, scheme string, origin *Origin) error {
	if scheme != "" && scheme != "http" && scheme != "https" {
		return fmt.Errorf("scheme %q is neither http nor https", clip(scheme))
	}
	if r.Host == "" {
		r.Host = origin.Authority
	}
	if !httpguts.ValidHostHeader(r.Host) || strings.ContainsAny(r.Host, "@/") {
		return fmt.Errorf("authority %q is not a host and a port", clip(r.Host))
	}
	return nil
}

// contentLength returns the length of the body that header declares [RFC 9110 §
// 8.6], or unknownLength.
func contentLength(header http.Header) (int64, error) {
	values := header["Content-Length"]
	switch len(values) {
	case 0:
		return unknownLength, nil
	case 1:
		length, err := strconv.ParseUint(values[0], 10, 63)
		if err != nil || values[0][0] == '+' {
			return 0, fmt.Errorf("content-length %q is not a length", clip(values[0]))
		}
		return int64(length), nil
	default:
		return 0, errors.New("more than one content-length")
	}
}

func setClient(r *http.Request, head *culvertv1.RequestHead, origin *Origin) error {
	address := head.GetClientAddress()
	if address != "" {
		if _, err := netip.ParseAddrPort(address); err != nil {
			return fmt.Errorf("client address %q is not an IP address and a port", clip(address))
		}
	}
	dropForwarded(r.Header, origin.Trusted)
	if !origin.Trusted {
		return nil
	}
	if address != "" {
		r.RemoteAddr = address
	}
	if scheme := head.GetScheme(); scheme != "" && scheme != origin.Scheme && len(r.Header["X-Forwarded-Proto"]) == 0 {
		r.Header["X-Forwarded-Proto"] = []string{scheme} // r.TLS says otherwise
	}
	return nil
}

// joinCookies undoes the splitting that HTTP/2 allows for compression's sake
// [RFC 9113 § 8.2.3].
func joinCookies(header http.Header) {
	if cookies := header["Cookie"]; len(cookies) > 1 {
		header["Cookie"] = []string{strings.Join(cookies, "; ")}
	}
}

// announceTrailers moves the names in Trailer to where net/http's handlers
// expect them.
func announceTrailers(r *http.Request) {
	values, ok := r.Header["Trailer"]
	if !ok {
		return
	}
	delete(r.Header, "Trailer")
	for _, name := range elements(values) {
		name = textproto.CanonicalMIMEHeaderKey(name)
		if !httpguts.ValidTrailerHeader(name) {
			continue
		}
		if r.Trailer == nil {
			r.Trailer = make(http.Header)
		}
		r.Trailer[name] = nil
	}
}

// elements splits field values that are lists [RFC 9110 § 5.6.1].
func elements(values []string) []string {
	var all []string
	for _, value := range values {
		for element := range strings.SplitSeq(value, ",") {
			if element = textproto.TrimString(element); element != "" {
				all = append(all, element)
			}
		}
	}
	return all
}

// setUpgrade shows the handler a request to upgrade as HTTP/1.1 has it, if it is
// allowed. One that is not is ignored [RFC 9110 § 7.8], as is one that comes
// with a body.
func (s *Server) setUpgrade(r *http.Request, first *culvertv1.RequestFrame, origin *Origin) {
	protocol := first.GetHead().GetUpgrade()
	if protocol == "" || r.ContentLength > 0 || len(first.GetData()) > 0 {
		return
	}
	if origin.Streaming && r.ProtoMajor == 1 && r.ProtoMinor == 1 && s.allowsUpgrade(protocol) {
		r.Header["Connection"] = []string{"Upgrade"}
		r.Header["Upgrade"] = []string{protocol}
		r.ContentLength = 0
	}
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		// The client waits for a head, and the handler must not wait for a body.
		r.ContentLength = 0
	}
}

func (s *Server) allowsUpgrade(protocol string) bool {
	return slices.ContainsFunc(s.Upgrades, func(allowed string) bool {
		return strings.EqualFold(allowed, protocol)
	})
}

// upgrades reports whether the request asks to upgrade. In a frame the fields
// that say so do not cross: only setUpgrade puts them there.
func upgrades(r *http.Request) bool { return len(r.Header["Upgrade"]) > 0 }
