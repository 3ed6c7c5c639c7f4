package culvert

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
)

// respond passes a final response on as it comes. It reports false if it must be
// cut short.
func (x *gatewayExchange) respond(resp *http.Response) (whole bool) {
	header, length, err := x.checkHead(resp)
	if err != nil {
		return x.fail(err)
	}
	x.length = length
	rest, whole := resp.Body.(wholeBody)
	whole = whole && rest.Whole()
	announced := x.announce(header, resp)
	x.writeHead(resp.StatusCode, header)
	if x.bodiless(resp.StatusCode) {
		return x.endBodiless(resp, announced)
	}
	switch {
	case whole:
		err = x.copyWhole(rest)
	case length != 0 && !readsAtOnce(resp.Body):
		x.flush() // the body may take its time
		fallthrough
	default:
		err = x.copyBody(resp.Body)
	}
	if err != nil {
		return x.fail(err)
	}
	x.writeTrailers(resp.Trailer, announced)
	return true
}

// endBodiless ends a response that can have no body. Its end can still bring
// trailers, which HTTP/2 has a place for.
func (x *gatewayExchange) endBodiless(resp *http.Response, announced []string) (whole bool) {
	if x.r.Method == http.MethodHead || x.r.ProtoMajor < 2 {
		return true
	}
	if err := x.copyBody(resp.Body); err != nil {
		return x.fail(err)
	}
	x.writeTrailers(resp.Trailer, announced)
	return true
}

// writeHead writes the final head. What the response does not have, net/http does
// not put in.
func (x *gatewayExchange) writeHead(status int, fields http.Header) {
	x.mu.Lock()
	defer x.mu.Unlock()
	header := x.w.Header()
	for name, values := range fields {
		if outer := header[name]; len(outer) > 0 && name != "Content-Length" {
			values = append(slices.Clip(outer), values...)
		}
		header[name] = values
	}
	for _, name := range [...]string{"Content-Length", "Content-Type", "Date"} {
		if _, ok := header[name]; !ok {
			header[name] = nil
		}
	}
	if status >= http.StatusBadRequest && x.r.ProtoMajor == 1 && x.body.rest() > maxDrain {
		header["Connection"] = []string{"close"} // nobody will read that much of the request
	}
	x.wroteHead = true
	x.record.Status = status
	x.w.WriteHeader(status)
	x.body.open()
}

// copyBody writes the body, each piece as soon as it is there.
func (x *gatewayExchange) copyBody(body io.Reader) error {
	buffer := gatewayBuffers.get()
	defer gatewayBuffers.put(buffer)
	for {
		n, err := body.Read(*buffer)
		if n > 0 {
			if err := x.write((*buffer)[:n]); err != nil {
				return err
			}
		}
		switch {
		case err == io.EOF:
			return x.checkEnd()
		case err != nil:
			return err
		case !readsAtOnce(body): // also behind the last byte: the end may be an abort, or far
			x.flush()
		}
	}
}

// wholeBody is a body that knows whether it is there to its end, as a Transport's
// does.
type wholeBody interface {
	Whole() bool
	io.WriterTo
}

// copyWhole is copyBody for a body that is there to its end.
func (x *gatewayExchange) copyWhole(body wholeBody) error {
	if _, err := body.WriteTo(gatewayBodyWriter{x}); err != nil {
		return err
	}
	return x.checkEnd()
}

// gatewayBodyWriter writes the body of a response.
type gatewayBodyWriter struct{ exchange *gatewayExchange }

// Write implements io.Writer.
func (w gatewayBodyWriter) Write(data []byte) (int, error) {
	if err := w.exchange.write(data); err != nil {
		return 0, err
	}
	return len(data), nil
}

// readsAtOnce reports whether the next read of a body is known not to wait.
func readsAtOnce(body io.Reader) bool {
	if body == http.NoBody {
		return true
	}
	ready, ok := body.(interface{ Ready() bool }) // as a Transport's is
	return ok && ready.Ready()
}

// write writes a piece of the body, which may not be more than was promised.
func (x *gatewayExchange) write(data []byte) error {
	if x.length >= 0 && x.record.ResponseBytes+int64(len(data)) > x.length {
		return malformedResponse("the body is longer than its %d bytes", x.length)
	}
	n, err := x.w.Write(data)
	x.record.ResponseBytes += int64(n)
	x.body.moved()
	if err != nil {
		return fmt.Errorf("write response: %w", err)
	}
	return nil
}

// checkEnd reports a body that ended before it was complete.
func (x *gatewayExchange) checkEnd() error {
	if x.length >= 0 && x.record.ResponseBytes != x.length {
		return fmt.Errorf("read response: %d of %d bytes: %w", x.record.ResponseBytes, x.length, io.ErrUnexpectedEOF)
	}
	return nil
}

// flush sends what was written. A writer that cannot is not net/http's, and a
// connection that is lost shows at the next write.
func (x *gatewayExchange) flush() { _ = x.w.FlushError() }

// announce names in the head the trailers that the response announces, and
// returns their names. HTTP/1.1 has trailers only behind chunks: a length that
// the head tells would cost them, and so goes.
func (x *gatewayExchange) announce(header http.Header, resp *http.Response) []string {
	if !x.r.ProtoAtLeast(1, 1) {
		return nil
	}
	var names []string
	for _, name := range x.announcedBy(resp) {
		if name = http.CanonicalHeaderKey(strings.TrimSpace(name)); mayTrail(name) {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return nil
	}
	slices.Sort(names)
	names = slices.Compact(names)
	header["Trailer"] = names
	if x.r.ProtoMajor == 1 && !x.bodiless(resp.StatusCode) {
		delete(header, "Content-Length")
	}
	return names
}

// announcedBy returns the names that a response announces. Where there can be no
// body, net/http's transport for HTTP/1.1 leaves them in the field.
func (x *gatewayExchange) announcedBy(resp *http.Response) []string {
	names := slices.Collect(maps.Keys(resp.Trailer))
	if x.bodiless(resp.StatusCode) {
		for _, value := range valuesOf(resp.Header, "Trailer") {
			names = append(names, strings.Split(value, ",")...)
		}
	}
	return names
}

// writeTrailers sets the trailers for net/http to write at the end.
func (x *gatewayExchange) writeTrailers(trailer http.Header, announced []string) {
	header := x.w.Header()
	for _, name := range announced {
		delete(header, name) // a field of the head may have the same name
	}
	for key, values := range trailer {
		name := http.CanonicalHeaderKey(key)
		switch {
		case len(values) == 0 || !mayTrail(name):
		case slices.Contains(announced, name):
			header[name] = values
		default:
			header[http.TrailerPrefix+name] = values
		}
	}
}
