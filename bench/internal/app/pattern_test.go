package app

import (
	"bytes"
	"io"
	"slices"
	"testing"
	"testing/iotest"
)

func TestBodyIsWhatFillGives(t *testing.T) {
	for _, n := range []int64{0, 1, period, chunk - 1, chunk, chunk + 1, 3*chunk + 7} {
		got, err := io.ReadAll(NewBody(n))
		if err != nil || !bytes.Equal(got, Fill(n)) {
			t.Errorf("%d bytes: got %d, %v", n, len(got), err)
		}
	}
}

func TestBodyIsAReader(t *testing.T) {
	if err := iotest.TestReader(NewBody(chunk+100), Fill(chunk+100)); err != nil {
		t.Error(err)
	}
}

// TestCheckBody has bodies that differ from what they must be.
func TestCheckBody(t *testing.T) {
	const n = 3 * 1024
	good := Fill(n)
	for name, test := range map[string]struct {
		body []byte
		ok   bool
	}{
		"as it must be": {good, true},
		"empty":         {nil, false},
		"cut":           {good[:n-1], false},
		"longer":        {append(slices.Clone(good), good[n%period]), false},
		"a piece lost":  {slices.Concat(good[:1024], good[2048:], good[2048:]), false},
		"a piece twice": {slices.Concat(good[:1024], good[:1024], good[2048:]), false},
		"in zeros":      {make([]byte, n), false},
	} {
		t.Run(name, func(t *testing.T) {
			if err := CheckBody(bytes.NewReader(test.body), n, make([]byte, 1024)); (err == nil) != test.ok {
				t.Error(err)
			}
		})
	}
}

func TestCheckBodyReportsReadError(t *testing.T) {
	err := CheckBody(iotest.TimeoutReader(iotest.OneByteReader(NewBody(10))), 10, make([]byte, 4))
	if err == nil {
		t.Error("no error")
	}
}

func TestWorks(t *testing.T) {
	for want, work := range map[string]Work{
		"small GET /small":                Small(),
		"download-1B GET /bytes/1":        Download(1),
		"download-64KiB GET /bytes/65536": Download(64 << 10),
		"download-1025B GET /bytes/1025":  Download(1025),
		"upload-1MiB POST /upload":        Upload(1 << 20),
		"websocket GET /echo":             WebSocket(),
	} {
		if got := work.Name + " " + work.Method() + " " + work.Path(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
