package culvert

import (
	"bytes"
	"context"
	"net"
	"slices"
	"testing"

	"golang.org/x/net/http2"
)

// recordedConn keeps what is written to it.
type recordedConn struct {
	net.Conn
	writes [][]byte
}

func (c *recordedConn) Write(p []byte) (int, error) {
	c.writes = append(c.writes, bytes.Clone(p))
	return len(p), nil
}

// credits takes what was written, and returns the credit in it by stream; it fails
// if there is anything else.
func (c *recordedConn) credits(tb testing.TB) map[uint32]uint32 {
	tb.Helper()
	credits := make(map[uint32]uint32)
	framer := http2.NewFramer(nil, bytes.NewReader(slices.Concat(c.writes...)))
	for {
		frame, err := framer.ReadFrame()
		if err != nil {
			break
		}
		update, ok := frame.(*http2.WindowUpdateFrame)
		if !ok {
			tb.Fatalf("a frame of type %s", frame.Header().Type)
		}
		credits[update.StreamID] += update.Increment
	}
	c.writes = nil
	return credits
}

// newHoldingConn returns a connection on which the preface was sent.
func newHoldingConn(tb testing.TB) (net.Conn, *recordedConn) {
	tb.Helper()
	below := new(recordedConn)
	conn, err := holdCredit(func(context.Context, string, string) (net.Conn, error) { return below, nil }, 80_000, 800_000)(tb.Context(), "", "")
	if err != nil {
		tb.Fatal(err)
	}
	var first bytes.Buffer
	first.WriteString(http2.ClientPreface)
	framer := http2.NewFramer(&first, nil)
	_ = framer.WriteSettings()
	_ = framer.WriteWindowUpdate(0, 123)
	writeAll(tb, conn, first.Bytes())
	if got := slices.Concat(below.writes...); !bytes.Equal(got, first.Bytes()) {
		tb.Fatalf("the preface is %q", got)
	}
	below.writes = nil
	return conn, below
}

func writeAll(tb testing.TB, conn net.Conn, p []byte) {
	tb.Helper()
	if n, err := conn.Write(p); n != len(p) || err != nil {
		tb.Fatalf("%d bytes of %d, %v", n, len(p), err)
	}
}

// creditFrames are the frames of net/http's client after a read of n bytes.
func creditFrames(stream, n uint32) []byte { return appendCredit(appendCredit(nil, 0, n), stream, n) }

func TestCreditGoesOutInLargePieces(t *testing.T) {
	conn, below := newHoldingConn(t)
	for range 2 {
		writeAll(t, conn, creditFrames(1, 4_999))
		writeAll(t, conn, creditFrames(3, 100))
	}
	if len(below.writes) != 0 {
		t.Fatal("credit was sent though there is little of it")
	}
	writeAll(t, conn, creditFrames(1, 2))
	if n := len(below.writes); n != 1 {
		t.Errorf("%d writes, want 1", n)
	}
	got := below.credits(t)
	if len(got) != 3 || got[0] != 10_200 || got[1] != 10_000 || got[3] != 200 {
		t.Errorf("credit %v", got)
	}
}

// What a connection has left matters, too, though no stream of it has read much.
func TestCreditOfAConnectionIsGivenInTime(t *testing.T) {
	conn, below := newHoldingConn(t)
	for stream := range uint32(11) {
		writeAll(t, conn, creditFrames(2*stream+1, 9_999))
	}
	if got := below.credits(t); got[0] < 100_000 {
		t.Errorf("credit %v", got)
	}
}

// It is not known which streams have ended: what is held back for them must not
// cost memory without end.
func TestCreditIsHeldForFewStreams(t *testing.T) {
	conn, below := newHoldingConn(t)
	for stream := range uint32(10 * maxHeldStreams) {
		writeAll(t, conn, creditFrames(2*stream+1, 1))
	}
	if n := len(conn.(*creditConn).streams); n > maxHeldStreams {
		t.Errorf("credit is held back for %d streams", n)
	}
	if n := len(below.writes); n < 9 || n > 10 {
		t.Errorf("%d writes", n)
	}
}

// All else goes out as it is, however it is cut; credit is held back only where it
// begins a frame.
func TestCreditConnLeavesTheRestAlone(t *testing.T) {
	var stream bytes.Buffer
	framer := http2.NewFramer(&stream, nil)
	for i := range uint32(20) {
		_ = framer.WriteData(1, false, creditFrames(1, i+1)) // what looks like credit, and is not
		_ = framer.WritePing(false, [8]byte{4, 8})
		_ = framer.WriteData(1, false, nil)
	}
	for _, piece := range []int{1, 4, 9, 13, 22, 26, 35, 39, 1000} {
		conn, below := newHoldingConn(t)
		for part := range slices.Chunk(stream.Bytes(), piece) {
			writeAll(t, conn, part)
		}
		if !bytes.Equal(slices.Concat(below.writes...), stream.Bytes()) {
			t.Errorf("in pieces of %d bytes something is missing", piece)
		}
		below.writes = nil
		writeAll(t, conn, creditFrames(1, 1))
		if len(below.writes) != 0 {
			t.Errorf("after pieces of %d bytes it is not known where frames begin", piece)
		}
	}
}
