package framing_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/culvert-http/culvert/internal/framing"
)

// Frames are found at the same places, whatever the pieces are in which they come.
func TestTrack(t *testing.T) {
	for name, row := range map[string]struct {
		layout *framing.Layout
		frame  func(length byte) []byte
	}{
		"HTTP/2":    {framing.HTTP2, func(n byte) []byte { return append([]byte{0, 0, n, 1, 2, 3, 4, 5, 6}, make([]byte, n)...) }},
		"envelopes": {framing.Envelopes, func(n byte) []byte { return append([]byte{1, 0, 0, 0, n}, make([]byte, n)...) }},
		"TLS":       {framing.TLS, func(n byte) []byte { return append([]byte{23, 3, 3, 0, n}, make([]byte, n)...) }},
	} {
		t.Run(name, func(t *testing.T) {
			lengths := []byte{3, 0, 200, 0, 0, 1, 17}
			var stream []byte
			for _, n := range lengths {
				stream = append(stream, row.frame(n)...)
			}
			for size := 1; size <= len(stream); size++ {
				var track framing.Track
				var found []byte
				for piece := range slices.Chunk(stream, size) {
					for rest, begun := track.Next(row.layout, piece); begun; rest, begun = track.Next(row.layout, rest) {
						found = append(found, byte(track.Left))
					}
				}
				if !slices.Equal(found, lengths) || !track.Between() {
					t.Fatalf("in pieces of %d: frames of %v bytes, and %t that all is over", size, found, track.Between())
				}
			}
		})
	}
}

// What is not whole is known to be so.
func TestTrackWithinAFrame(t *testing.T) {
	stream := []byte{0, 0, 2, 0, 0, 0, 0, 0, 1, 7, 7}
	for n := 1; n < len(stream); n++ {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			var track framing.Track
			track.Next(framing.HTTP2, stream[:n])
			if track.Between() {
				t.Error("it is taken for whole")
			}
		})
	}
}
