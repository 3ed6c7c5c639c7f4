package app

import (
	"fmt"
	"io"
)

const (
	// chunk is how much of a body is read or written at a time: io.Copy's size.
	chunk = 32 << 10
	// period is how long a body's bytes take to repeat. It is prime, so that a piece
	// that is lost, doubled or out of its turn shows at the edges of others.
	period = 251
)

// pattern holds the bytes of a chunk that begins at any offset of a body.
var pattern = func() []byte {
	b := make([]byte, chunk+period)
	for i := range b {
		b[i] = patternAt(int64(i))
	}
	return b
}()

func patternAt(offset int64) byte { return byte(offset % period) }

// Fill returns the body of n bytes as a whole.
func Fill(n int64) []byte {
	body := make([]byte, n)
	for i := range body {
		body[i] = patternAt(int64(i))
	}
	return body
}

// A Body reads the n bytes of a body.
type Body struct{ offset, n int64 }

// NewBody returns a reader of n bytes.
func NewBody(n int64) *Body { return &Body{n: n} }

// Read implements io.Reader.
func (b *Body) Read(p []byte) (int, error) {
	piece := b.next(len(p))
	if len(piece) == 0 && len(p) > 0 {
		return 0, io.EOF
	}
	return copy(p, piece), nil
}

// next returns at most the given number of bytes, and none at the end.
func (b *Body) next(most int) []byte {
	start := int(b.offset % period)
	piece := pattern[start:][:min(int64(most), chunk, b.n-b.offset)]
	b.offset += int64(len(piece))
	return piece
}

// A Checker compares a body that comes in pieces with what it must be. It looks
// at the edges of each piece, which costs nothing beside moving it.
type Checker struct{ offset int64 }

// Add checks the next piece.
func (c *Checker) Add(piece []byte) error {
	if len(piece) == 0 {
		return nil
	}
	last := c.offset + int64(len(piece)) - 1
	if piece[0] != patternAt(c.offset) || piece[len(piece)-1] != patternAt(last) {
		return fmt.Errorf("check body: wrong bytes between %d and %d", c.offset, last)
	}
	c.offset = last + 1
	return nil
}

// End checks the length of the whole.
func (c *Checker) End(want int64) error {
	if c.offset != want {
		return fmt.Errorf("check body: %d bytes, want %d", c.offset, want)
	}
	return nil
}

// CheckBody reads a body of n bytes to its end. It reads into scratch, which must
// not be empty.
func CheckBody(body io.Reader, n int64, scratch []byte) error {
	var checker Checker
	for {
		read, err := body.Read(scratch)
		if wrong := checker.Add(scratch[:read]); wrong != nil {
			return wrong
		}
		switch err {
		case nil:
		case io.EOF:
			return checker.End(n)
		default:
			return fmt.Errorf("read body: %w", err)
		}
	}
}
