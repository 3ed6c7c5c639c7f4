package onestream

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"strconv"
	"strings"

	"golang.org/x/net/http/httpguts"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// head reads the heads of the response, and its trailers.
type head struct {
	decoder *hpack.Decoder
	left    int // bytes of fields that may still come

	status int // of the section that is being read, 0 if it has none
	fields http.Header
	err    error
}

// maxContinuations bounds the frames of one header section.
const maxContinuations = 128

// dynamicTable is the table that HPACK has if nobody says otherwise, in bytes.
const dynamicTable = 4096

// fieldOverhead is what a field counts beside its name and its value [RFC 9113 §
// 6.5.2].
const fieldOverhead = 32

// errTooLong is the error of fields that are longer than they may be.
var errTooLong = errors.New("http2: response header list is longer than allowed")

func (h *head) init(config *Config) {
	h.left = config.MaxHeaderBytes
	h.decoder = hpack.NewDecoder(dynamicTable, h.take)
	h.decoder.SetMaxStringLength(config.MaxHeaderBytes)
}

// take takes a field.
func (h *head) take(field hpack.HeaderField) {
	if h.err != nil {
		return
	}
	if h.left -= len(field.Name) + len(field.Value) + fieldOverhead; h.left < 0 {
		h.err = errTooLong
		return
	}
	switch {
	case !httpguts.ValidHeaderFieldValue(field.Value):
		h.err = malformed("the value of field %q", field.Name)
	case field.Name == ":status":
		if h.status != 0 || len(h.fields) > 0 {
			h.err = malformed(":status is not the first field")
			return
		}
		h.status, h.err = parseStatus(field.Value)
	case !validName(field.Name):
		h.err = malformed("the name of field %q", field.Name)
	case ofConnection(field.Name):
		h.err = malformed("field %q is about a connection", field.Name)
	default:
		name := http.CanonicalHeaderKey(field.Name)
		h.fields[name] = append(h.fields[name], field.Value)
	}
}

// validName reports whether a name is one of HTTP/2 [RFC 9113 § 8.2.1].
func validName(name string) bool {
	return httpguts.ValidHeaderFieldName(name) && strings.ToLower(name) == name
}

func parseStatus(text string) (int, error) {
	status, err := strconv.ParseUint(text, 10, 16)
	if err != nil || len(text) != 3 || status < 100 {
		return 0, malformed(":status %q", text)
	}
	return int(status), nil
}

func malformed(format string, args ...any) error {
	return violated(http2.ErrCodeProtocol, "malformed response: %s", fmt.Sprintf(format, args...))
}

// takeHeaders takes a header section, and with it a head or trailers.
func (c *conn) takeHeaders(f frame) error {
	if err := f.ofStream(); err != nil {
		return err
	}
	c.head.status, c.head.fields = 0, make(http.Header)
	if err := c.takeSection(f); err != nil {
		return err
	}
	end := f.flags.Has(http2.FlagHeadersEndStream)
	switch status := c.head.status; {
	case c.response != nil:
		return c.takeTrailers(end)
	case status == 0:
		return malformed("no :status")
	case status == http.StatusSwitchingProtocols, status < 200 && end:
		return malformed("status %d", status)
	case status < 200:
		return nil
	default:
		return c.takeResponse(end)
	}
}

// takeSection reads the frames of a header section.
func (c *conn) takeSection(f frame) error {
	padding, err := c.unpad(&f)
	if err != nil {
		return err
	}
	if f.flags.Has(http2.FlagHeadersPriority) {
		const priority = 5
		if f.length -= priority; f.length < 0 {
			return violated(http2.ErrCodeFrameSize, "a priority that is too short")
		}
		if err := c.input.skip(priority); err != nil {
			return err
		}
	}
	left := c.config.MaxHeaderBytes
	for frames := 0; ; frames++ {
		if left -= f.length; left < 0 || frames > maxContinuations {
			return errTooLong
		}
		if err := c.decode(f.length); err != nil {
			return err
		}
		if err := c.input.skip(padding); err != nil {
			return err
		}
		if f.flags.Has(http2.FlagHeadersEndHeaders) {
			break
		}
		if f, err = c.continuation(); err != nil {
			return err
		}
		padding = 0
	}
	if err := c.head.decoder.Close(); err != nil {
		return violated(http2.ErrCodeCompression, "%v", err)
	}
	return nil
}

func (c *conn) continuation() (frame, error) {
	f, err := c.frameHeader()
	if err == nil && f.kind != http2.FrameContinuation {
		err = violated(http2.ErrCodeProtocol, "a frame of type %v inside a header section", f.kind)
	}
	if err == nil {
		err = f.ofStream()
	}
	return f, err
}

// decode takes n bytes of a header section.
func (c *conn) decode(n int) error {
	for n > 0 {
		piece, err := c.input.some(n)
		if err != nil {
			return err
		}
		n -= len(piece)
		if _, err := c.head.decoder.Write(piece); err != nil {
			if errors.Is(err, hpack.ErrStringLength) {
				return errTooLong
			}
			return violated(http2.ErrCodeCompression, "%v", err)
		}
		if c.head.err != nil {
			return c.head.err
		}
	}
	return nil
}

func (c *conn) takeResponse(end bool) error {
	header := c.head.fields
	c.response = &http.Response{
		Status:        strconv.Itoa(c.head.status) + " " + http.StatusText(c.head.status),
		StatusCode:    c.head.status,
		Proto:         "HTTP/2.0",
		ProtoMajor:    2,
		Header:        header,
		Trailer:       make(http.Header),
		ContentLength: -1,
	}
	if lengths := header["Content-Length"]; len(lengths) > 0 {
		length, err := strconv.ParseUint(lengths[0], 10, 63)
		if err != nil || len(lengths) > 1 {
			return malformed("Content-Length %q", lengths)
		}
		c.data.length, c.data.hasLength = int64(length), true //nolint:gosec // 63 bits
		c.response.ContentLength = c.data.length
	}
	if end {
		return c.endResponse()
	}
	return nil
}

func (c *conn) takeTrailers(end bool) error {
	switch {
	case c.head.status != 0:
		return malformed("a second head, or :status in the trailers")
	case !end:
		return malformed("trailers that do not end the response")
	}
	maps.Copy(c.response.Trailer, c.head.fields)
	return c.endResponse()
}
