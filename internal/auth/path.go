package auth

import (
	"net/url"
	"strings"
	"unicode/utf8"
)

// ambiguousPath reports whether one server may find another resource under a path
// than the next one: because it removes empty or dot segments, decodes twice,
// takes a backslash for a slash, or cuts a segment off at a semicolon, a NUL or
// what would begin a fragment.
func ambiguousPath(path string) bool {
	decoded, err := url.PathUnescape(path)
	if err != nil || !strings.HasPrefix(path, "/") || !utf8.ValidString(decoded) || strings.Contains(path, "#") {
		return true
	}
	for i := range len(decoded) {
		if c := decoded[i]; c < ' ' || c == 0x7f || c == '\\' || c == ';' {
			return true
		}
	}
	if strings.Count(decoded, "/") != strings.Count(path, "/") { // one was encoded
		return true
	}
	if again, err := url.PathUnescape(decoded); err != nil || again != decoded {
		return true
	}
	if strings.ContainsAny(decoded, likeSlashes) {
		return true
	}
	segments := strings.Split(decoded[1:], "/")
	for i, segment := range segments {
		last := i == len(segments)-1
		if segment == "" && !last || isDots(segment) {
			return true
		}
	}
	return false
}

// likeSlashes are what Windows makes a slash or a backslash of in the character
// sets of its applications ("best fit"), and others where they normalize.
const likeSlashes = "\u2044\u2215\u2216\u29f5\u29f8\ufe68\uff0f\uff3c"

// likeDots does the same for dots.
var likeDots = strings.NewReplacer("\u2024", ".", "\u2025", "..", "\u2026", "...", "\u3002", ".", "\ufe52", ".", "\uff0e", ".", "\uff61", ".")

// isDots reports whether some server takes a segment for a dot segment: Windows
// removes dots and spaces at the ends of names, and what decodes twice would begin
// a query or a fragment at an encoded "?" or "#".
func isDots(segment string) bool {
	if i := strings.IndexAny(segment, "?#"); i >= 0 {
		segment = segment[:i]
	}
	return segment != "" && strings.Trim(likeDots.Replace(segment), ". ") == ""
}
