package onestream_test

import (
	"bytes"
	"net"
	"strings"
	"sync"
	"testing"

	"golang.org/x/net/http2"

	"github.com/culvert-http/culvert/internal/onestream"
)

// countingConn keeps the first write.
type countingConn struct {
	net.Conn
	mu    sync.Mutex
	wrote []byte
}

// Write implements net.Conn.
func (c *countingConn) Write(p []byte) (int, error) {
	c.mu.Lock()
	if c.wrote == nil {
		c.wrote = bytes.Clone(p)
	}
	c.mu.Unlock()
	return c.Conn.Write(p)
}

func (c *countingConn) first() []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.wrote
}

// nextData returns the length of the next DATA frame.
func (p *peer) nextData() int {
	p.tb.Helper()
	frame := p.await(isType(http2.FrameData))
	if frame == nil {
		return -1
	}
	return int(frame.Header().Length)
}

// The head goes out with the first piece, in one write.
func TestFirstPieceGoesWithTheHead(t *testing.T) {
	p, conn := newPeer(t)
	counted := &countingConn{Conn: conn}
	script(t, func() {
		p.greet()
		p.await(isType(http2.FrameData))
		p.headers(true, ":status", "200")
	})
	response, err := onestream.RoundTrip(counted, newRequest(t), newPieces("hello"), config())
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	first := counted.first()
	for _, part := range []string{http2.ClientPreface, "hello"} {
		if !bytes.Contains(first, []byte(part)) {
			t.Errorf("%q is not in the first write", part)
		}
	}
}

// What is sent stays within the windows and the frames of the server, as its
// SETTINGS change them.
func TestRequestStaysWithinTheWindows(t *testing.T) {
	p, conn := newPeer(t)
	script(t, func() {
		p.greet(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 20_000})
		// Before the settings have come, the windows are those of RFC 9113.
		before := 0
		for before < 65_535 {
			n := p.nextData()
			if n < 0 || n > 16<<10 {
				t.Errorf("a frame of %d bytes", n)
				return
			}
			before += n
			if before == 20_000 {
				break
			}
		}
		// Now the stream has 20,000 less what was sent, which may be below zero: it
		// takes that and 100 more until something is sent.
		_ = p.WriteWindowUpdate(0, 1<<20)
		_ = p.WriteWindowUpdate(1, uint32(before-20_000+100))
		if n := p.nextData(); n != 100 {
			t.Errorf("a frame of %d bytes, want 100", n)
		}
		_ = p.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 10_000}) // now it is below zero
		_ = p.WriteWindowUpdate(1, 10_001)
		if n := p.nextData(); n != 1 {
			t.Errorf("a frame of %d bytes, want 1", n)
		}
		_ = p.WriteSettings(http2.Setting{ID: http2.SettingMaxFrameSize, Val: 50_000}, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 110_000})
		for _, want := range []int{50_000, 50_000} {
			if n := p.nextData(); n != want {
				t.Errorf("a frame of %d bytes, want %d", n, want)
			}
		}
		p.headers(true, ":status", "200")
	})
	_, _, err := exchange(t, conn, newPieces(strings.Repeat("x", 1<<20)), config())
	if err != nil {
		t.Error(err)
	}
}

// The connection's window counts as well as the stream's.
func TestRequestStaysWithinTheWindowOfTheConnection(t *testing.T) {
	p, conn := newPeer(t)
	script(t, func() {
		p.greet(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 20})
		total := 0
		for total < 65_535 {
			n := p.nextData()
			if n < 0 {
				return
			}
			total += n
		}
		_ = p.WriteWindowUpdate(0, 7)
		if n := p.nextData(); total != 65_535 || n != 7 {
			t.Errorf("%d bytes, then %d", total, n)
		}
		p.headers(true, ":status", "200")
	})
	if _, _, err := exchange(t, conn, newPieces(strings.Repeat("x", 1<<20)), config()); err != nil {
		t.Error(err)
	}
}

// A server that keeps to its windows can send without end, however it cuts and
// pads; the credit comes in large pieces.
func TestCreditComesBack(t *testing.T) {
	const total = 2 << 20
	p, conn := newPeer(t)
	script(t, func() {
		p.greet()
		settings := p.await(isType(http2.FrameSettings)).(*http2.SettingsFrame)
		stream, _ := settings.Value(http2.SettingInitialWindowSize)
		update := p.await(isType(http2.FrameWindowUpdate)).(*http2.WindowUpdateFrame)
		windows := map[uint32]int{0: 65_535 + int(update.Increment), 1: int(stream)}
		p.await(isType(http2.FrameData))
		p.headers(false, ":status", "200")
		updates, sent := 0, 0
		for i := 0; sent < total; i++ {
			size, pad := min(1+i*997%30_000, total-sent), i%256
			for windows[0] < size+pad+1 || windows[1] < size+pad+1 {
				frame, ok := p.await(isType(http2.FrameWindowUpdate)).(*http2.WindowUpdateFrame)
				if !ok {
					return
				}
				updates++
				windows[frame.StreamID] += int(frame.Increment)
			}
			windows[0] -= size + pad + 1
			windows[1] -= size + pad + 1
			_ = p.WriteDataPadded(1, false, bytes.Repeat([]byte{'x'}, size), make([]byte, pad))
			sent += size
		}
		_ = p.WriteData(1, true, nil)
		if updates > 2*8*total/(64<<10) {
			t.Errorf("%d updates of windows", updates)
		}
	})
	_, read, err := exchange(t, conn, newPieces("x"), config())
	if err != nil || read != strings.Repeat("x", total) {
		t.Errorf("%d bytes, %v", len(read), err)
	}
}

// A server that does not read what is sent to it is read all the same.
func TestServerThatOnlyWrites(t *testing.T) {
	p, conn := newPeer(t)
	script(t, func() {
		p.greet(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1<<31 - 1}, http2.Setting{ID: http2.SettingMaxFrameSize, Val: 1 << 20})
		_ = p.WriteWindowUpdate(0, 1<<31-1-65_535)
		p.headers(false, ":status", "200")
		for range 100 {
			_ = p.WritePing(false, [8]byte{})
		}
		_ = p.WriteData(1, true, []byte("hello"))
	})
	_, read, err := exchange(t, conn, newPieces(strings.Repeat("x", 64<<20)), config())
	if err != nil || read != "hello" {
		t.Errorf("%q, %v", read, err)
	}
}
