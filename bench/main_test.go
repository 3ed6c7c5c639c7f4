package main

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m, lingering) }

// lingering are connections of HTTP/1.1 that net/http's server leaves open for
// half a second, so that a client that still sends reads the answer.
var lingering = goleak.IgnoreAnyFunction("net/http.(*conn).closeWriteAndWait")

func TestFlags(t *testing.T) {
	for _, test := range []struct {
		args   string
		rounds int
		time   time.Duration
		idle   int
	}{
		{"", fullRounds, fullTime, fullIdle},
		{"-quick", quickRounds, quickTime, quickIdle},
		{"-quick -rounds 3", 3, quickTime, quickIdle},
		{"-time 1s -quick -idle 7", quickRounds, time.Second, 7},
	} {
		c, err := parseFlags(strings.Fields(test.args), io.Discard)
		if err != nil {
			t.Fatal(err)
		}
		if c.rounds != test.rounds || c.time != test.time || c.idle != test.idle {
			t.Errorf("%q: got %d, %s, %d", test.args, c.rounds, c.time, c.idle)
		}
	}
	for _, wrong := range []string{"-rounds 0", "-time -1s", "-idle 0", "-run (", "small", "-unknown"} {
		var output bytes.Buffer
		if _, err := parseFlags(strings.Fields(wrong), &output); err == nil || output.Len() == 0 {
			t.Errorf("%q: got %v, printed %q", wrong, err, output.String())
		}
	}
}

// TestRun measures two cells, and reads what is printed as benchstat would.
func TestRun(t *testing.T) {
	stdout, stderr := runBench(t, "-run", "^(small/1/(http1|session)|idle/20/session)$", "-rounds", "2", "-time", "1ms", "-idle", "20")
	sample := regexp.MustCompile(`^Benchmark/small/1/(http1|session) \d+ \d+ ns/op \d+ cpu-ns/op \d+ B/op \d+\.\d allocs/op$`)
	idle := regexp.MustCompile(`^Benchmark/idle/20/session 20 -?\d+ live-B/op \d+\.\d\d goroutines/op$`)
	samples, idles := 0, 0
	for line := range strings.Lines(stdout) {
		switch line = strings.TrimSpace(line); {
		case sample.MatchString(line):
			samples++
		case idle.MatchString(line):
			idles++
		default:
			t.Errorf("unexpected line %q", line)
		}
	}
	if samples != 4 || idles != 1 {
		t.Errorf("%d samples and %d of idle exchanges, want 4 and 1", samples, idles)
	}
	for _, want := range []string{"round 2, small, 1 in flight", "medians of 2 rounds", "small/1/session"} {
		if !strings.Contains(stderr, want) {
			t.Errorf("no %q in %q", want, stderr)
		}
	}
}

func TestList(t *testing.T) {
	stdout, _ := runBench(t, "-list")
	for _, want := range []string{"small/1024/session\n", "download-64MiB/4/h2c\n", "websocket/1/auto\n", "idle/10000/session\n"} {
		if !strings.Contains(stdout, want) {
			t.Errorf("no %q", want)
		}
	}
}

func TestRunRefuses(t *testing.T) {
	for _, args := range [][]string{
		{"-run", "no such cell"},
		{"-run", "^small/1/", "-cpuprofile", filepath.Join(t.TempDir(), "cpu")},
	} {
		c, err := parseFlags(args, io.Discard)
		if err != nil {
			t.Fatal(err)
		}
		if err := run(t.Context(), c, io.Discard, io.Discard); err == nil {
			t.Errorf("%q: no error", args)
		}
	}
}

func TestProfiles(t *testing.T) {
	dir := t.TempDir()
	cpu, mem := filepath.Join(dir, "cpu"), filepath.Join(dir, "mem")
	runBench(t, "-run", "^small/1/http1$", "-rounds", "1", "-time", "1ms", "-cpuprofile", cpu, "-memprofile", mem)
	for _, path := range []string{cpu, mem} {
		if info, err := os.Stat(path); err != nil || info.Size() == 0 {
			t.Errorf("%s: %v", path, err)
		}
	}
}

func runBench(tb testing.TB, args ...string) (stdout, stderr string) {
	tb.Helper()
	c, err := parseFlags(args, io.Discard)
	if err != nil {
		tb.Fatal(err)
	}
	var out, log bytes.Buffer
	if err := run(tb.Context(), c, &out, &log); err != nil {
		tb.Fatal(err)
	}
	return out.String(), log.String()
}
