package culvert

import "encoding/binary"

// envelopeTrack follows a stream of messages as it is read by somebody else.
type envelopeTrack struct {
	prefix [envelopePrefix]byte // of the message, or what has come of it
	have   int                  // bytes of it, 0 behind it
	left   int64                // bytes of the message
}

// next takes what was read, until behind the prefix of the next message, and
// returns the rest. It reports false if none begins.
func (t *envelopeTrack) next(p []byte) (rest []byte, begun bool) {
	for len(p) > 0 {
		if t.left > 0 {
			n := min(t.left, int64(len(p)))
			t.left -= n
			p = p[n:]
			continue
		}
		n := copy(t.prefix[t.have:], p)
		p = p[n:]
		if t.have += n; t.have == len(t.prefix) {
			t.have = 0
			t.left = int64(binary.BigEndian.Uint32(t.prefix[1:]))
			return p, true
		}
	}
	return nil, false
}
