package culvert

import (
	"bytes"
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"
)

// Browsers whose XMLHttpRequest gives out text alone have gRPC-Web in base64: its
// text mode, which the official grpc-web client speaks unless told otherwise and
// connect does not know. Here it is put on and taken off outside of connect.
//
// See [the protocol].
//
// [the protocol]: https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-WEB.md
const (
	webType     = "application/grpc-web"
	webTextType = webType + "-text"
)

// replaceType returns a media type with its prefix from replaced by to, and
// whether it has that prefix: from alone, with a codec ("+proto") or parameters.
func replaceType(mediaType, from, to string) (string, bool) {
	if len(mediaType) < len(from) || !strings.EqualFold(mediaType[:len(from)], from) {
		return mediaType, false
	}
	rest := mediaType[len(from):]
	if rest != "" && !strings.ContainsAny(rest[:1], "+; \t") {
		return mediaType, false
	}
	return to + rest, true
}

// fromWebText returns a request in the text mode of gRPC-Web as the same request
// in the binary mode, and false for all others.
func fromWebText(r *http.Request) (*http.Request, bool) {
	mediaType, ok := replaceType(r.Header.Get("Content-Type"), webTextType, webType)
	if !ok {
		return r, false
	}
	binary := r.WithContext(r.Context())
	binary.Header = r.Header.Clone()
	binary.Header.Set("Content-Type", mediaType)
	binary.Header.Del("Content-Length")
	binary.ContentLength = -1
	binary.Body = &webTextReader{from: r.Body}
	return binary, true
}

var errWebText = errors.New("the body is not in base64, as " + webTextType + " has to be")

// webTextReader decodes base64 as it comes. What it reads may be several texts
// with padding of their own, one after the other: every message may have been
// encoded by itself.
type webTextReader struct {
	from    io.ReadCloser
	text    [4 << 10]byte
	have    int    // bytes of text that are not decoded: at most 3, between reads
	decoded []byte // in buffer, not yet given out
	buffer  [3 << 10]byte
	err     error // after decoded
}

// Read implements io.Reader.
func (t *webTextReader) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for len(t.decoded) == 0 {
		if t.err != nil {
			return 0, t.err
		}
		t.fill()
	}
	n := copy(p, t.decoded)
	t.decoded = t.decoded[n:]
	return n, nil
}

// Close implements io.Closer.
func (t *webTextReader) Close() error { return t.from.Close() }

// fill reads once, and decodes what is complete.
func (t *webTextReader) fill() {
	n, err := t.from.Read(t.text[t.have:])
	t.have += n
	t.err = err
	whole := t.have &^ 3
	size, ok := decodeWebText(t.buffer[:], t.text[:whole])
	t.decoded = t.buffer[:size]
	t.have = copy(t.text[:], t.text[whole:t.have])
	if !ok || (errors.Is(err, io.EOF) && t.have > 0) {
		t.err = toRPC(malformedBody(errWebText.Error()))
	}
}

// decodeWebText decodes whole groups of four characters and returns how many
// bytes they are, and whether all could be decoded. Padding may end any group.
func decodeWebText(to, text []byte) (int, bool) {
	if bytes.ContainsAny(text, "\r\n") { // which encoding/base64 would leave out
		return 0, false
	}
	size := 0
	for len(text) > 0 {
		end := len(text)
		if padding := bytes.IndexByte(text, '='); padding >= 0 {
			end = padding&^3 + 4
		}
		n, err := base64.StdEncoding.Decode(to[size:], text[:end])
		size += n
		if err != nil {
			return size, false
		}
		text = text[end:]
	}
	return size, true
}

// webTextWriter encodes a response of gRPC-Web in base64 as it is written. Where
// it is flushed, the text so far is brought to an end with padding, so that no
// byte waits for the next; clients of the text mode decode group by group.
type webTextWriter struct {
	to      http.ResponseWriter
	control *http.ResponseController
	begun   bool
	plain   bool // the response is not gRPC-Web
	carry   [3]byte
	have    int // bytes of carry
	text    [4 << 10]byte
}

func newWebTextWriter(w http.ResponseWriter) *webTextWriter {
	return &webTextWriter{to: w, control: http.NewResponseController(w)}
}

// Header implements http.ResponseWriter.
func (t *webTextWriter) Header() http.Header { return t.to.Header() }

// WriteHeader implements http.ResponseWriter.
func (t *webTextWriter) WriteHeader(status int) {
	if !t.begun && status >= 200 {
		t.begun = true
		header := t.to.Header()
		mediaType, ok := replaceType(header.Get("Content-Type"), webType, webTextType)
		if t.plain = !ok; ok {
			header.Set("Content-Type", mediaType)
			header.Del("Content-Length")
		}
	}
	t.to.WriteHeader(status)
}

// begin writes the head, if nobody did: what is below would write it as it is.
func (t *webTextWriter) begin() {
	if !t.begun {
		t.WriteHeader(http.StatusOK)
	}
}

// Write implements io.Writer.
func (t *webTextWriter) Write(p []byte) (int, error) {
	t.begin()
	if t.plain {
		return t.to.Write(p)
	}
	written := 0
	if t.have > 0 {
		written = copy(t.carry[t.have:], p)
		if t.have += written; t.have < len(t.carry) {
			return written, nil
		}
		if err := t.endCarry(); err != nil {
			return 0, err
		}
	}
	most := base64.StdEncoding.DecodedLen(len(t.text))
	for len(p)-written >= len(t.carry) {
		n := min(most, (len(p)-written)/len(t.carry)*len(t.carry))
		if err := t.encode(p[written : written+n]); err != nil {
			return written, err
		}
		written += n
	}
	t.have = copy(t.carry[:], p[written:])
	return len(p), nil
}

// endCarry writes what is left of the last group, with padding if it is not
// whole.
func (t *webTextWriter) endCarry() error {
	if t.have == 0 {
		return nil
	}
	rest := t.carry[:t.have]
	t.have = 0
	return t.encode(rest)
}

func (t *webTextWriter) encode(p []byte) error {
	base64.StdEncoding.Encode(t.text[:], p)
	_, err := t.to.Write(t.text[:base64.StdEncoding.EncodedLen(len(p))])
	return err
}

// Flush implements http.Flusher.
func (t *webTextWriter) Flush() { _ = t.FlushError() }

// FlushError does what Flush does, for [net/http.ResponseController].
func (t *webTextWriter) FlushError() error {
	t.begin()
	if err := t.endCarry(); err != nil {
		return err
	}
	return t.control.Flush()
}

// SetReadDeadline is for [net/http.ResponseController].
func (t *webTextWriter) SetReadDeadline(at time.Time) error { return t.control.SetReadDeadline(at) }

// SetWriteDeadline is for [net/http.ResponseController].
func (t *webTextWriter) SetWriteDeadline(at time.Time) error { return t.control.SetWriteDeadline(at) }

// EnableFullDuplex is for [net/http.ResponseController].
func (t *webTextWriter) EnableFullDuplex() error { return t.control.EnableFullDuplex() }

// finish ends the text of a response that is complete.
func (t *webTextWriter) finish() { _ = t.endCarry() }
