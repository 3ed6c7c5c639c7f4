package connwatch

import (
	"bytes"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"
)

// framed returns the frames that write writes.
func framed(write func(*http2.Framer)) []byte {
	var out bytes.Buffer
	framer := http2.NewFramer(&out, nil)
	framer.AllowIllegalWrites = true
	write(framer)
	return out.Bytes()
}

// idleFrames are those that bring nothing.
var idleFrames = map[string]func(*http2.Framer){
	"ping":       func(f *http2.Framer) { _ = f.WritePing(false, [8]byte{}) },
	"settings":   func(f *http2.Framer) { _ = f.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1}) },
	"credit":     func(f *http2.Framer) { _ = f.WriteWindowUpdate(0, 1) },
	"priority":   func(f *http2.Framer) { _ = f.WritePriority(1, http2.PriorityParam{}) },
	"reset":      func(f *http2.Framer) { _ = f.WriteRSTStream(1, http2.ErrCodeCancel) },
	"empty data": func(f *http2.Framer) { _ = f.WriteData(1, false, nil) },
	"unknown":    func(f *http2.Framer) { _ = f.WriteRawFrame(0xee, 0, 0, []byte("x")) },
}

// usefulFrames are those for which others are allowed.
var usefulFrames = map[string]func(*http2.Framer){
	"headers": func(f *http2.Framer) {
		_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: []byte("x"), EndHeaders: true})
	},
	"data": func(f *http2.Framer) { _ = f.WriteData(1, false, []byte("x")) },
}

// goesOn reports whether a connection may go on that has received p.
func goesOn(f *frames, p []byte) bool {
	_, err := f.received(p)
	return err == nil
}

func TestFramesThatBringNothing(t *testing.T) {
	for name, write := range idleFrames {
		synctest.Test(t, func(t *testing.T) {
			one, f := framed(write), newFrames(nil)
			if goesOn(f, bytes.Repeat(one, idlePerSecond+1)) {
				t.Errorf("%s: nothing is too much", name)
			}
			f = newFrames(nil)
			for _, part := range []int{1, 2, 1} {
				if !goesOn(f, bytes.Repeat(one, idlePerSecond/part)) {
					t.Errorf("%s: what time allows is too much", name)
				}
				<-time.After(time.Second / 2 * time.Duration(part))
			}
			<-time.After(time.Hour)
			if goesOn(f, bytes.Repeat(one, 2*idlePerSecond)) {
				t.Errorf("%s: time allows without end", name)
			}
		})
	}
	ack := framed(func(f *http2.Framer) { _ = f.WritePing(true, [8]byte{}); _ = f.WriteSettingsAck() })
	if !goesOn(newFrames(nil), bytes.Repeat(ack, 10*idlePerSecond)) {
		t.Error("answers are too many")
	}
}

// Frames of messages, in either direction, allow others.
func TestFramesOfMessages(t *testing.T) {
	ping := framed(idleFrames["ping"])
	for name, write := range usefulFrames {
		one := framed(write)
		for direction, pass := range map[string]func(*frames){
			"received": func(f *frames) { goesOn(f, one) },
			"sent":     func(f *frames) { f.sent(one) },
		} {
			synctest.Test(t, func(t *testing.T) {
				f := newFrames(nil)
				for range 100 * idlePerSecond {
					pass(f)
					if !goesOn(f, bytes.Repeat(ping, idlePerUseful)) {
						t.Fatalf("%s %s: a few pings each are too many", name, direction)
					}
				}
				for range maxIdle {
					pass(f)
				}
				if goesOn(f, bytes.Repeat(ping, 2*maxIdle)) {
					t.Errorf("%s %s: they are saved up without end", name, direction)
				}
			})
		}
	}
}

// What is found does not depend on how the bytes are cut: those of the preface too.
func TestFramesInPieces(t *testing.T) {
	stream := []byte(preface)
	stream = append(stream, framed(func(f *http2.Framer) {
		_ = f.WriteSettings()
		usefulFrames["headers"](f)
		_ = f.WriteData(1, false, framed(idleFrames["ping"]))
		idleFrames["unknown"](f)
		usefulFrames["data"](f)
		idleFrames["ping"](f)
	})...)
	const want = idlePerSecond - 3 + 3*idlePerUseful
	for cut := range stream {
		ours, theirs := net.Pipe()
		c := newConn(pipeEnd{ours}, nil)
		go func() {
			_, _ = theirs.Write(stream[:cut])
			_, _ = theirs.Write(stream[cut:])
			_ = theirs.Close()
		}()
		if _, err := io.Copy(io.Discard, c); err != nil {
			t.Fatal(err)
		}
		if got := c.frames.allowed.Load(); got != want {
			t.Fatalf("cut at %d: %d frames are allowed, want %d", cut, got, want)
		}
	}
}

type pipeEnd struct{ net.Conn }

func (pipeEnd) CloseWrite() error { return nil }

// A connection with too many is closed.
func TestFlood(t *testing.T) {
	ours, theirs := net.Pipe()
	c := newConn(pipeEnd{ours}, nil)
	written := make(chan error, 1)
	go func() {
		_, err := theirs.Write([]byte(preface + strings.Repeat(string(framed(idleFrames["ping"])), 100*idlePerSecond)))
		_ = theirs.Close()
		written <- err
	}()
	if _, err := io.Copy(io.Discard, c); err != errTooManyFrames {
		t.Errorf("got %v", err)
	}
	if err := <-written; err == nil {
		t.Error("all of the flood was taken")
	}
}

func BenchmarkFrames(b *testing.B) {
	one := framed(func(f *http2.Framer) { _ = f.WriteData(1, false, make([]byte, 16<<10)) })
	f := newFrames(nil)
	b.ReportAllocs()
	for b.Loop() {
		goesOn(f, one[:9])
		goesOn(f, one[9:])
	}
}
