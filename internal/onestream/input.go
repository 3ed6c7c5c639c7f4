package onestream

import "io"

// inputSize is how much is read at a time of what is small, in bytes.
const inputSize = 32 << 10

// input is what has come of a connection.
type input struct {
	from       *conn
	buf        []byte
	start, end int // of what was not taken yet
}

// have reads until there are n bytes, which are inputSize at most.
func (in *input) have(n int) error {
	for in.end-in.start < n {
		if in.buf == nil {
			in.buf = make([]byte, inputSize)
		}
		if in.start == in.end {
			in.start, in.end = 0, 0
		} else if in.start+n > len(in.buf) {
			in.end = copy(in.buf, in.buf[in.start:in.end])
			in.start = 0
		}
		got, err := in.from.hear(in.buf[in.end:])
		in.end += got
		if err != nil && in.end-in.start < n {
			return err
		}
	}
	return nil
}

// take returns n bytes, which are valid until more is read.
func (in *input) take(n int) ([]byte, error) {
	if err := in.have(n); err != nil {
		return nil, err
	}
	taken := in.buf[in.start : in.start+n]
	in.start += n
	return taken, nil
}

// some returns at least one byte and n at most, which are valid until more is read.
func (in *input) some(n int) ([]byte, error) {
	if err := in.have(1); err != nil {
		return nil, err
	}
	return in.take(min(n, in.end-in.start))
}

// skip takes n bytes.
func (in *input) skip(n int) error {
	for n > 0 {
		skipped, err := in.some(n)
		if err != nil {
			return err
		}
		n -= len(skipped)
	}
	return nil
}

// read reads at least one byte into p, which has more than none. What is large does
// not go through the buffer.
func (in *input) read(p []byte) (int, error) {
	if in.start == in.end && len(p) >= inputSize/2 {
		for {
			if n, err := in.from.hear(p); n > 0 || err != nil {
				return n, noError(n, err)
			}
		}
	}
	taken, err := in.some(len(p))
	return copy(p, taken), err
}

// noError leaves an error for the next time if there is something before it.
func noError(n int, err error) error {
	if n > 0 {
		return nil
	}
	return err
}

var _ io.ReadCloser = (*conn)(nil)
