package accesslog

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/culvert-http/culvert"
	culvertv1 "github.com/culvert-http/culvert/api/culvert/v1"
	"github.com/google/go-cmp/cmp"
)

func record() culvert.Record {
	return culvert.Record{
		Peer:          culvert.Peer{Addr: "127.0.0.1:51234", Protocol: "grpc", Method: "Exchange"},
		Method:        "GET",
		Authority:     "localhost:8080",
		Path:          "/get?a=b",
		Status:        200,
		RequestBytes:  5,
		ResponseBytes: 3 << 20,
		Start:         time.Date(2026, 11, 22, 15, 4, 5, 0, time.UTC),
		Duration:      1234 * time.Microsecond,
	}
}

func failed() culvert.Record {
	failed := record()
	failed.Status = 0
	failed.Err = &culvert.Error{Cause: culvertv1.Cause_CAUSE_UPSTREAM_UNREACHABLE, Err: errors.New("dial: refused")}
	return failed
}

func TestTextOfExchanges(t *testing.T) {
	for _, test := range []struct {
		name   string
		record culvert.Record
		want   string
	}{
		{
			"answered",
			record(),
			"15:04:05.001 200    1.2ms      5B↑    3.0M↓ grpc Exchange    GET     localhost:8080/get?a=b 127.0.0.1:51234\n",
		},
		{
			"failed",
			failed(),
			"15:04:05.001 ---    1.2ms      5B↑    3.0M↓ grpc Exchange    GET     localhost:8080/get?a=b 127.0.0.1:51234 upstream unreachable: dial: refused\n",
		},
		{
			"unknown",
			culvert.Record{Start: record().Start, Err: io.ErrUnexpectedEOF},
			"15:04:05.000 ---      0µs      0B↑      0B↓ - -              -       - - unexpected EOF\n",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			var out bytes.Buffer
			New(&out, Options{Format: Text}).Exchange(t.Context(), test.record)
			if diff := cmp.Diff(test.want, out.String()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestJSONOfExchanges(t *testing.T) {
	var out bytes.Buffer
	New(&out, Options{}).Exchange(t.Context(), failed())
	var got map[string]any
	if err := json.Unmarshal(out.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	delete(got, "time")
	want := map[string]any{
		"level": "WARN", "msg": "exchange", "status": 0.0, "method": "GET",
		"authority": "localhost:8080", "path": "/get?a=b",
		"request_bytes": 5.0, "response_bytes": float64(3 << 20), "duration_ms": 1.234,
		"protocol": "grpc", "rpc": "Exchange", "peer": "127.0.0.1:51234",
		"error": "upstream unreachable: dial: refused", "cause": "UPSTREAM_UNREACHABLE",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// hostile are values that would forge a line, move the cursor, or turn text
// around, if they reached a terminal as they are.
var hostile = []string{
	"/a\n15:04:05.000 200 forged", "/a\r\x1b[2K", "/\x1b]0;title\x07", "/\u009b31m", "/\xff\xfe\x9b",
	"/\u202egnp.exe", "/\u2028", "/\x00", "/a b", "/" + "\U000e0001", `/\x1b`,
}

func TestNothingOfAPeerIsObeyed(t *testing.T) {
	for _, format := range []Format{Text, JSON} {
		for _, value := range hostile {
			r := failed()
			r.Method, r.Authority, r.Path, r.Peer.Addr = value, value, value, value
			r.Err = &culvert.Error{Err: errors.New(value)}
			var out bytes.Buffer
			log := New(&out, Options{Format: format})
			log.Exchange(t.Context(), r)
			log.Error(value, "key", value, slog.Group("group", "key", value))
			if lines := strings.Count(out.String(), "\n"); lines != 2 {
				t.Errorf("%s, %q: %d lines, want 2", format, value, lines)
			}
			for _, r := range strings.ReplaceAll(out.String(), "\n", "") {
				if r < ' ' || r == '\uFFFD' && format == Text || r >= 0x7f && !strings.ContainsRune("↑↓\uFFFDµ", r) {
					t.Errorf("%s, %q: rune %U in %q", format, value, r, out.String())
				}
			}
		}
	}
}

func TestJSONKeepsWhatItEscapes(t *testing.T) {
	for _, value := range append(hostile, "/é漢😀") {
		var out bytes.Buffer
		New(&out, Options{Format: JSON}).Info("m", "value", value)
		var got struct{ Value string }
		if err := json.Unmarshal(out.Bytes(), &got); err != nil {
			t.Fatalf("%q: %v in %q", value, err, out.String())
		}
		// Each byte that is not UTF-8 is replaced, and nothing else.
		if want := string([]rune(value)); got.Value != want {
			t.Errorf("%q came back as %q", value, got.Value)
		}
	}
}

func TestEscape(t *testing.T) {
	for _, test := range []struct{ in, want string }{
		{"", "-"},
		{"/é漢😀", "/é漢😀"},
		{"a b", `a\x20b`},
		{`a\b`, `a\\b`},
		{"\x1b[0m", `\x1b[0m`},
		{"\u009b\u2028", `\u009b\u2028`},
		{"\xff", `\xff`},
		{strings.Repeat("x", maxText+3), strings.Repeat("x", maxText) + "…(3 more bytes)"},
	} {
		if got := word(test.in); got != test.want {
			t.Errorf("word(%q) = %q, want %q", test.in, got, test.want)
		}
	}
	if got := escape("a b\n"); got != `a b\x0a` {
		t.Errorf("escape = %q", got)
	}
}

func TestLevelsOfExchanges(t *testing.T) {
	canceled := failed()
	canceled.Err = &culvert.Error{Cause: culvertv1.Cause_CAUSE_CANCELED}
	for _, test := range []struct {
		name   string
		opts   Options
		record culvert.Record
		want   int
	}{
		{"answered at info", Options{}, record(), 1},
		{"answered at warn", Options{Level: slog.LevelWarn}, record(), 0},
		{"failed at warn", Options{Level: slog.LevelWarn}, failed(), 1},
		{"failed at error", Options{Level: slog.LevelError}, failed(), 0},
		{"canceled at warn", Options{Level: slog.LevelWarn}, canceled, 0},
		{"switched off", Options{NoExchanges: true}, failed(), 0},
	} {
		for _, format := range []Format{Text, JSON} {
			test.opts.Format = format
			var out bytes.Buffer
			New(&out, test.opts).Exchange(context.Background(), test.record)
			if got := strings.Count(out.String(), "\n"); got != test.want {
				t.Errorf("%s, %s: %d lines, want %d", test.name, format, got, test.want)
			}
		}
	}
}

func TestConsoleAsAHandler(t *testing.T) {
	var out bytes.Buffer
	logger := slog.New(newConsole(&out, slog.LevelInfo, false))
	logger = logger.With("a", 1).WithGroup("g").With("b", 2)
	logger.Debug("not seen")
	logger.Warn("message", "c", "three", slog.Group("h", "d", true))
	_, got, _ := strings.Cut(out.String(), " ")
	if want := "warn: message a=1 g.b=2 g.c=three g.h.d=true\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestColorsEndWhereTheyBegan(t *testing.T) {
	var out bytes.Buffer
	console := newConsole(&out, slog.LevelInfo, true)
	console.exchange(slog.LevelWarn, failed())
	colored, resets := strings.Count(out.String(), "\x1b["), strings.Count(out.String(), string(reset))
	if resets == 0 || colored != 2*resets {
		t.Errorf("%d sequences, of which %d reset, in %q", colored, resets, out.String())
	}
}

func TestDurationsAndSizes(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0µs", 999 * time.Microsecond: "999µs", 12345 * time.Microsecond: "12.3ms",
		9 * time.Second: "9000.0ms", 61*time.Second + 260*time.Millisecond: "1m1.3s",
	} {
		if got := duration(d); got != want {
			t.Errorf("duration(%v) = %q, want %q", d, got, want)
		}
	}
	for n, want := range map[int64]string{
		0: "0B", 1023: "1023B", 1024: "1.0K", 1536 << 10: "1.5M", 1 << 62: "4.0E",
	} {
		if got := byteCount(n); got != want {
			t.Errorf("byteCount(%d) = %q, want %q", n, got, want)
		}
	}
}
