package connwatch

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"slices"
	"testing"
)

// segments are what a connection gives, one a Read.
type segments struct {
	left  [][]byte
	err   error // behind them
	reads int
}

func (s *segments) read(p []byte) (int, error) {
	s.reads++
	if len(s.left) == 0 {
		return 0, s.err
	}
	n := copy(p, s.left[0])
	if s.left[0] = s.left[0][n:]; len(s.left[0]) == 0 {
		s.left = s.left[1:]
	}
	if len(s.left) == 0 && s.reads%2 == 0 { // the error may come with the last of it
		return n, s.err
	}
	return n, nil
}

// What is read is what has come, whatever the pieces are, and then the error.
func TestReadAhead(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // the same each time
	stream := make([]byte, 20*aheadSize)
	for i := range stream {
		stream[i] = byte(random.Uint32())
	}
	broken := errors.New("broken")
	for range 100 {
		from, ahead := segments{err: broken}, readAhead{}
		for rest := stream; len(rest) > 0; {
			n := min(1+random.IntN(3*aheadSize), len(rest))
			from.left, rest = append(from.left, rest[:n]), rest[n:]
		}
		var got []byte
		var err error
		for p := make([]byte, 2*aheadSize); err == nil; {
			var n int
			n, err = ahead.read(p[:1+random.IntN(len(p))], from.read)
			got = append(got, p[:n]...)
		}
		if !bytes.Equal(got, stream) || err != broken {
			t.Fatalf("got %d bytes, %v", len(got), err)
		}
	}
}

// Frames that come together are read together. What is large is read where it is
// wanted.
func TestReadAheadTakesWhatThereIs(t *testing.T) {
	const frames = 10
	from := segments{left: slices.Repeat([][]byte{make([]byte, frames*20)}, 3), err: io.EOF}
	var ahead readAhead
	for range 3 * frames {
		for _, piece := range []int{9, 11} { // as net/http reads
			if n, err := ahead.read(make([]byte, piece), from.read); n != piece || err != nil {
				t.Fatalf("got %d bytes, %v", n, err)
			}
		}
	}
	if from.reads != 3 {
		t.Errorf("%d reads of the connection, want 3", from.reads)
	}
	large := make([]byte, 10*aheadSize)
	from.left = [][]byte{large}
	if n, err := ahead.read(large, from.read); n != len(large) {
		t.Errorf("got %d bytes of %d at once, %v", n, len(large), err)
	}
}
