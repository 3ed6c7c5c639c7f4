package culvert

import (
	"fmt"
	"net/http"
	"net/textproto"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/net/http/httpguts"

	culvertv1 "github.com/culvert-http/culvert/api/culvert/v1"
	"github.com/culvert-http/culvert/internal/bridge"
)

// A response that came through the tunnel has not passed the checks of net/http's
// clients. What could be taken for two responses, or for another one than was
// meant, does not get further than here.

// malformedResponse is the error of a response that breaks HTTP.
func malformedResponse(format string, args ...any) error {
	return &bridge.Error{
		Cause: culvertv1.Cause_CAUSE_MALFORMED_RESPONSE,
		Err:   fmt.Errorf(format, args...),
	}
}

// endToEnd checks the fields of a response and returns those that cross the
// gateway, under their canonical names.
func endToEnd(header http.Header) (http.Header, error) {
	connection := valuesOf(header, "Connection")
	out := make(http.Header, len(header)+3)
	for key, values := range header {
		name := textproto.CanonicalMIMEHeaderKey(key)
		if !httpguts.ValidHeaderFieldName(name) {
			return nil, malformedResponse("field name %q is not a token", key)
		}
		for _, value := range values {
			if !httpguts.ValidHeaderFieldValue(value) {
				return nil, malformedResponse("value of field %q has a control character", name)
			}
		}
		switch {
		case name == "Transfer-Encoding":
			return nil, malformedResponse("field %q says how the body ends, and is not the tunnel's", name)
		case hopByHop(name, connection):
		default:
			out[name] = append(out[name], values...)
		}
	}
	return out, nil
}

// valuesOf returns the values of a field in whatever case its name stands.
func valuesOf(header http.Header, name string) []string {
	values := slices.Clip(header[name])
	for key, more := range header {
		if key != name && strings.EqualFold(key, name) {
			values = append(values, more...)
		}
	}
	return values
}

// checkHead checks the head of a final response. It returns the fields that cross
// the gateway, and how long the body is: -1 if that shows only at its end.
func (x *gatewayExchange) checkHead(resp *http.Response) (http.Header, int64, error) {
	if resp.StatusCode < 200 || resp.StatusCode > 999 {
		return nil, 0, malformedResponse("%d is not the status of a final response", resp.StatusCode)
	}
	header := resp.Header
	if !x.passed { // else the transport has done that
		var err error
		if header, err = endToEnd(header); err != nil {
			return nil, 0, err
		}
	}
	length, err := contentLength(header)
	if err != nil {
		return nil, 0, err
	}
	switch {
	case resp.StatusCode == http.StatusNoContent:
		delete(header, "Content-Length") // RFC 9110 § 8.6
		return header, 0, nil
	case x.bodiless(resp.StatusCode):
		return header, 0, nil // Content-Length is that of another response
	case length < 0 && resp.ContentLength > 0: // known to a RoundTripper of some other make
		header["Content-Length"] = []string{strconv.FormatInt(resp.ContentLength, 10)}
		return header, resp.ContentLength, nil
	case length >= 0 && resp.ContentLength >= 0 && length != resp.ContentLength:
		return nil, 0, malformedResponse("Content-Length %d of a body of %d bytes", length, resp.ContentLength)
	default:
		return header, length, nil
	}
}

// contentLength returns the value of Content-Length, -1 if there is none. It
// leaves one of several that are the same.
func contentLength(header http.Header) (int64, error) {
	values := header["Content-Length"]
	if len(values) == 0 {
		return -1, nil
	}
	first := textproto.TrimString(values[0])
	for _, value := range values[1:] {
		if textproto.TrimString(value) != first {
			return 0, malformedResponse("Content-Length is both %q and %q", first, value)
		}
	}
	length, err := strconv.ParseUint(first, 10, 63) // takes digits and nothing else
	if err != nil {
		return 0, malformedResponse("Content-Length %q is not a number", first)
	}
	if len(values) > 1 || values[0] != first {
		header["Content-Length"] = []string{first}
	}
	return int64(length), nil
}

// bodiless reports whether a response has no body, whatever its fields say
// [RFC 9112 § 6.3].
func (x *gatewayExchange) bodiless(status int) bool {
	return x.r.Method == http.MethodHead || status == http.StatusNoContent || status == http.StatusNotModified
}
