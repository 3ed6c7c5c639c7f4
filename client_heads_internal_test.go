package culvert

import (
	"bytes"
	"context"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"
)

// frames returns what write writes.
func framesOf(t *testing.T, write func(*http2.Framer) error) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := write(http2.NewFramer(&b, nil)); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func headOf(t *testing.T, stream uint32, end bool) []byte {
	t.Helper()
	return framesOf(t, func(f *http2.Framer) error {
		return f.WriteHeaders(http2.HeadersFrameParam{
			StreamID: stream, BlockFragment: []byte("block"), EndHeaders: true, EndStream: end,
		})
	})
}

func dataOf(t *testing.T, stream uint32, size int) []byte {
	t.Helper()
	return framesOf(t, func(f *http2.Framer) error { return f.WriteData(stream, true, make([]byte, size)) })
}

// Heads go out with what follows them, in order and whole; those that nothing
// follows soon go out by themselves.
func TestHeadsGoWithWhatFollows(t *testing.T) {
	first, second := headOf(t, 1, false), headOf(t, 3, false)
	small, large := dataOf(t, 1, 10), dataOf(t, 3, maxHeads)
	for name, test := range map[string]struct {
		writes [][]byte
		want   [][]byte
		after  time.Duration // of the last
	}{
		"a head and its data":      {[][]byte{first, small}, [][]byte{join(first, small)}, 0},
		"two heads":                {[][]byte{first, second, small, large}, [][]byte{join(first, second, small), large}, 0},
		"much data":                {[][]byte{first, large}, [][]byte{first, large}, 0},
		"a head without a body":    {[][]byte{headOf(t, 1, true), small}, [][]byte{headOf(t, 1, true), small}, 0},
		"a head that waits":        {[][]byte{first}, [][]byte{first}, headsTime},
		"bytes that look like one": {[][]byte{small[:9], first, small[9:]}, [][]byte{small[:9], join(first, small[9:])}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ours, theirs := net.Pipe()
				conn, err := gatherHeads(func(context.Context, string, string) (net.Conn, error) { return ours, nil })(t.Context(), "", "")
				if err != nil {
					t.Fatal(err)
				}
				begin := time.Now()
				go func() {
					for _, p := range test.writes {
						if n, err := conn.Write(p); n != len(p) || err != nil {
							t.Errorf("wrote %d of %d: %v", n, len(p), err)
						}
					}
				}()
				room := make([]byte, 4*maxHeads)
				for _, want := range test.want {
					n, err := theirs.Read(room) // of a pipe: what was written at once
					if !bytes.Equal(room[:n], want) || err != nil {
						t.Errorf("%d bytes were written at once, want %d: %v", n, len(want), err)
					}
				}
				if after := time.Since(begin); after != test.after {
					t.Errorf("it took %v, want %v", after, test.after)
				}
				_ = conn.Close()
			})
		})
	}
}

func join(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

// What was held back and cannot be written is an error of what comes next.
func TestHeadThatCannotBeWritten(t *testing.T) {
	ours, theirs := net.Pipe()
	conn, err := gatherHeads(func(context.Context, string, string) (net.Conn, error) { return ours, nil })(t.Context(), "", "")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write(headOf(t, 1, false)); err != nil {
		t.Fatal(err)
	}
	_ = theirs.Close()
	for range 2 {
		if n, err := conn.Write(dataOf(t, 1, 10)); n != 0 || err != io.ErrClosedPipe {
			t.Errorf("wrote %d: %v", n, err)
		}
	}
}

// Timeouts of gRPC mean to the server what the client means by them, and what is
// not one is left to connect.
func TestParseGRPCTimeout(t *testing.T) {
	for _, timeout := range []time.Duration{1, 99_999_999, time.Second, 30 * time.Second, time.Minute, 48 * time.Hour, 2_000_000 * time.Hour} {
		if got, ok := parseGRPCTimeout(grpcTimeout(timeout)); got != timeout || !ok {
			t.Errorf("%v is %q, and that %v, %t", timeout, grpcTimeout(timeout), got, ok)
		}
	}
	for _, text := range []string{"", "S", "0S", "1", "1s", "-1S", "+1S", "1.5S", "100000000n", "99999999H", strings.Repeat("1", 30)} {
		if got, ok := parseGRPCTimeout(text); ok {
			t.Errorf("%q is %v", text, got)
		}
	}
}
