package connwatch

import (
	"bufio"
	"bytes"
	"net/http"
	"strings"
	"testing"
)

// TestScan has each stream arrive whole, byte by byte, and cut in two at every
// place.
func TestScan(t *testing.T) {
	for name, test := range map[string]struct {
		stream string
		want   bool
	}{
		"both":                       {"POST / HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", true},
		"the other way":              {"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n", true},
		"any case":                   {"POST / HTTP/1.1\r\ncONTENT-lENGTH:5\r\nHost: x\r\ntRANSFER-eNCODING:chunked\r\n\r\n", true},
		"bare LF":                    {"POST / HTTP/1.1\nContent-Length: 5\nTransfer-Encoding: chunked\n\n", true},
		"names that look alike":      {"POST / HTTP/1.1\r\nContent-Type: x\r\nContent-Length: 5\r\nTrailer: x\r\nTransfer-Encoding: chunked\r\n\r\n", true},
		"after a line of one space":  {"POST / HTTP/1.1\r\nContent-Length: 5\r\n \r\nTransfer-Encoding: chunked\r\n\r\n", true},
		"after a line of tab and LF": {"POST / HTTP/1.1\r\nContent-Length: 5\r\n\t\nTransfer-Encoding: chunked\r\n\r\n", true},
		"length in a folded line":    {"POST / HTTP/1.1\r\nX: y\r\n  Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", true},
		"encoding that is folded":    {"POST / HTTP/1.1\r\nTransfer-Encoding:\r\n chunked\r\n\r\n", true},
		"in the second request":      {"GET / HTTP/1.1\r\nHost: x\r\n\r\nPOST / HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", true},
		"right after a body":         {"POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\na\nbPOST / HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", true},
		"after half a preface":       {"PRI * HTTP/2.0\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", true},
		"chunks alone":               {"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", false},
		"length alone":               {"POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello", false},
		"one after the other":        {"POST / HTTP/1.1\r\nContent-Length: 1\r\n\r\naPOST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nPOST / HTTP/1.1\r\nContent-Length: 1\r\n\r\na", false},
		"in values":                  {"POST / HTTP/1.1\r\nX: Content-Length: 5\r\nTrailer: Transfer-Encoding\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", false},
		"other folds":                {"POST / HTTP/1.1\r\nX: y\r\n z\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", false},
		"indented body":              {"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{\n  }\r\n0\r\n\r\n", false},
		"HTTP/2":                     {preface + "\nContent-Length: 5\nTransfer-Encoding: chunked\n\n", false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := scanAll(test.stream); got != test.want {
				t.Errorf("whole: %t, want %t", got, test.want)
			}
			if got := scanAll(strings.Split(test.stream, "")...); got != test.want {
				t.Errorf("byte by byte: %t, want %t", got, test.want)
			}
			for i := range test.stream {
				if got := scanAll(test.stream[:i], test.stream[i:]); got != test.want {
					t.Errorf("cut at %d: %t, want %t", i, got, test.want)
				}
			}
		})
	}
}

func scanAll(pieces ...string) bool {
	var s headScan
	found := false
	for _, piece := range pieces {
		found = s.scan([]byte(piece)) || found
	}
	return found
}

// FuzzScan has net/http read what the scan has seen: a request in chunks, which
// had a length as well before net/http dropped it, must not be missed, whatever
// stands in front of it and however it is cut.
func FuzzScan(f *testing.F) {
	f.Add([]byte("a\nb"), []byte("X: y\r\n"), []byte(" \r\n"), uint16(20))
	f.Add([]byte("\r\n \r\n\r"), []byte("T: u\n v\n"), []byte("C: d\r\n\t\r\n"), uint16(3))
	f.Add([]byte(preface[:20]), []byte(""), []byte("Content-Type: x\r\n"), uint16(40))
	f.Fuzz(func(t *testing.T, before, between, after []byte, cut uint16) {
		head := "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n" + string(between) +
			"Transfer-Encoding: chunked\r\n" + string(after) + "\r\n"
		r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(head)))
		if err != nil || len(r.TransferEncoding) == 0 || ends(between) || bytes.HasPrefix(before, []byte(preface)) {
			t.Skip("no request with both")
		}
		stream := string(before) + head
		at := int(cut) % len(stream)
		if !scanAll(stream[:at], stream[at:]) {
			t.Errorf("nothing was found in %q", stream)
		}
	})
}

// ends reports whether a head ends in the lines, so that what follows is not a
// part of it.
func ends(lines []byte) bool {
	head := "GET / HTTP/1.1\r\nHost: x\r\n" + string(lines) + "X-Last: y\r\n\r\n"
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(head)))
	return err != nil || r.Header.Get("X-Last") == ""
}

func BenchmarkScan(b *testing.B) {
	for name, piece := range map[string]string{
		"binary": strings.Repeat("\x00", 255) + "\n",
		"text":   "The quick brown fox jumps over the lazy dog, and another one.\n",
	} {
		b.Run(name, func(b *testing.B) {
			body := []byte(strings.Repeat(piece, 32<<10/len(piece)))
			s := headScan{prefaced: -1}
			b.SetBytes(int64(len(body)))
			for b.Loop() {
				s.scan(body)
			}
		})
	}
}
