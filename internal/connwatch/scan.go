package connwatch

import "bytes"

// What the beginnings of lines are compared with, in small letters.
const (
	lengthName   = "content-length"
	encodingName = "transfer-encoding"
	emptyLine    = "\r\n"
	preface      = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" // of HTTP/2
)

// headScan looks for heads of HTTP/1.x with both Content-Length and
// Transfer-Encoding in what arrives on a connection, in pieces of any size. It
// does not tell bodies from heads, and so may find what is none. But it misses
// nothing: in a head the fields stand at the beginnings of lines, and only its end
// is an empty line.
//
// A line that continues the one before it (obs-fold) counts as a length after a
// Transfer-Encoding, whose value it may be, as others see it.
type headScan struct {
	length, encoding bool // since the last empty line

	inLine bool   // past the part of the line that matters
	folded bool   // the line begins with a space
	name   string // which the line begins like, "" at its beginning
	have   int    // bytes of name

	prefaced int // bytes of the preface, -1 once there was another
	off      bool
}

// scan takes the next bytes, and reports whether a head with both was among them,
// or ended there.
func (s *headScan) scan(p []byte) bool {
	if s.off || s.ofHTTP2(p) {
		return false
	}
	found := false
	for len(p) > 0 {
		if s.inLine {
			i := bytes.IndexByte(p, '\n')
			if i < 0 {
				break
			}
			p = p[i+1:]
			s.newLine()
			continue
		}
		s.step(p[0])
		p = p[1:]
		found = found || s.length && s.encoding
	}
	return found
}

// ofHTTP2 reports whether the connection begins with the whole preface of HTTP/2,
// after which there are no heads of HTTP/1.x.
func (s *headScan) ofHTTP2(p []byte) bool {
	if s.prefaced < 0 {
		return false
	}
	n := min(len(p), len(preface)-s.prefaced)
	if string(p[:n]) != preface[s.prefaced:s.prefaced+n] {
		s.prefaced = -1
		return false
	}
	s.prefaced += n
	s.off = s.prefaced == len(preface)
	return s.off
}

func (s *headScan) newLine() { s.inLine, s.folded, s.name, s.have = false, false, "", 0 }

// step takes a byte near the beginning of a line.
func (s *headScan) step(b byte) {
	if 'A' <= b && b <= 'Z' {
		b += 'a' - 'A'
	}
	if s.name == "" {
		s.begin(b)
		return
	}
	if b != s.name[s.have] {
		s.inLine = true
		if b == '\n' {
			s.newLine()
		}
		return
	}
	if s.have++; s.have < len(s.name) {
		return
	}
	switch s.inLine = true; s.name {
	case lengthName:
		s.length = true
	case encodingName:
		s.encoding = true
	case emptyLine:
		s.endHead()
	}
}

// begin takes the first byte of a line, but for spaces.
func (s *headScan) begin(b byte) {
	switch {
	case b == ' ' || b == '\t':
		s.folded = true
		s.length = s.length || s.encoding
		return
	case b == '\n':
		s.endHead()
		return
	case b == lengthName[0]:
		s.name = lengthName
	case b == encodingName[0]:
		s.name = encodingName
	case b == emptyLine[0]:
		s.name = emptyLine
	default:
		s.inLine = true
	}
	s.have = 1
}

// endHead takes the end of a line that has nothing in it. With spaces it is none
// of a head.
func (s *headScan) endHead() {
	if !s.folded {
		s.length, s.encoding = false, false
	}
	s.newLine()
}
