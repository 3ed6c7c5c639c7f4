package accesslog

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/culvert-http/culvert"
)

// maxText bounds a value in a line for people, in bytes before its escaping. JSON
// has whole values, which the tunnel bounds.
const maxText = 1024

// escape makes text safe for a terminal and for a line: what does not print, what
// is not UTF-8, and the backslash itself, is escaped as in Go. Of more than maxText
// bytes the rest is left out, and said to be.
func escape(text string) string { return escapeWith(text, strconv.IsPrint) }

// word is escape for a value that ends at a space: spaces are escaped as well, so
// that a value does not look like two. An empty one is a dash.
func word(text string) string {
	if text == "" {
		return "-"
	}
	return escapeWith(text, func(r rune) bool { return r != ' ' && strconv.IsPrint(r) })
}

func escapeWith(text string, prints func(rune) bool) string {
	left := max(len(text)-maxText, 0)
	text = text[:len(text)-left]
	var b strings.Builder
	for len(text) > 0 {
		r, size := utf8.DecodeRuneInString(text)
		switch {
		case r == utf8.RuneError && size == 1, r < utf8.RuneSelf && !prints(r):
			fmt.Fprintf(&b, `\x%02x`, text[0])
		case r == '\\':
			b.WriteString(`\\`)
		case !prints(r):
			quoted := strconv.QuoteRuneToASCII(r)
			b.WriteString(quoted[1 : len(quoted)-1])
		default:
			b.WriteRune(r)
		}
		text = text[size:]
	}
	if left > 0 {
		fmt.Fprintf(&b, "…(%d more bytes)", left)
	}
	return b.String()
}

// asciiWriter writes JSON with every rune escaped that is neither ASCII nor
// prints: encoding/json leaves those of U+0080 to U+009F alone, which some
// terminals obey, and those that turn the direction of text. Outside of a string
// JSON has ASCII only, so that the document stays the same.
type asciiWriter struct{ w io.Writer }

func (a asciiWriter) Write(p []byte) (int, error) {
	if _, err := a.w.Write(escapeJSON(p)); err != nil {
		return 0, err
	}
	return len(p), nil
}

func escapeJSON(p []byte) []byte {
	escaped := make([]byte, 0, len(p))
	for len(p) > 0 {
		r, size := utf8.DecodeRune(p)
		switch {
		case r < utf8.RuneSelf || strconv.IsPrint(r):
			escaped = append(escaped, p[:size]...)
		case r <= 0xffff:
			escaped = fmt.Appendf(escaped, `\u%04x`, r)
		default:
			// JSON has escapes of UTF-16 only.
			r -= 0x10000
			escaped = fmt.Appendf(escaped, `\u%04x\u%04x`, 0xd800+(r>>10), 0xdc00+(r&0x3ff))
		}
		p = p[size:]
	}
	return escaped
}

func asTunnelError(err error) (*culvert.Error, bool) {
	var tunnelErr *culvert.Error
	ok := errors.As(err, &tunnelErr)
	return tunnelErr, ok
}
