package connwatch

// aheadSize is how much is read at once where less is asked for. Most frames are
// smaller, and come several at a time.
const aheadSize = 4 << 10

// readAhead reads more than is asked for. Net/http's server reads each frame of
// HTTP/2 in two pieces, its header and the rest: without this, two system calls.
type readAhead struct {
	buffer []byte
	rest   []byte // of buffer, that nobody has taken yet
}

// read has fill read into p, or into the buffer, from which p is filled.
func (a *readAhead) read(p []byte, fill func([]byte) (int, error)) (int, error) {
	if len(a.rest) == 0 {
		if len(p) >= aheadSize {
			return fill(p)
		}
		if a.buffer == nil {
			a.buffer = make([]byte, aheadSize)
		}
		n, err := fill(a.buffer)
		if n == 0 {
			return 0, err
		}
		a.rest = a.buffer[:n] // the error comes again
	}
	n := copy(p, a.rest)
	a.rest = a.rest[n:]
	return n, nil
}
