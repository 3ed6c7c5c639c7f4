package report

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gonum.org/v1/plot/plotter"

	"github.com/culvert-http/culvert/bench/internal/app"
	"github.com/culvert-http/culvert/bench/internal/measure"
	"github.com/culvert-http/culvert/bench/internal/peer"
)

// resultsOf has a sample for each cell of the real list.
func resultsOf(sample func(measure.Key) measure.Sample) *measure.Results {
	results := measure.NewResults(measure.Options{Rounds: 1, Time: time.Second})
	for _, cell := range measure.Cells(peer.List()) {
		results.Add(cell.Key(), sample(cell.Key()))
	}
	return results
}

func evenResults() *measure.Results {
	results := resultsOf(func(measure.Key) measure.Sample {
		return measure.Sample{Exchanges: 1, Wall: 20_000, CPU: 10_000, Allocs: 50, Bytes: 5000}
	})
	results.AddIdle(peer.Session, measure.Idle{Exchanges: 10, Bytes: 12 << 10, Goroutines: 1})
	return results
}

// TestTargetsAreMeasured has a cell for each side of each target.
func TestTargetsAreMeasured(t *testing.T) {
	targets := Targets()
	if len(targets) != 23 {
		t.Errorf("%d targets", len(targets))
	}
	for _, target := range targets {
		value, verdict := target.Judge(evenResults())
		if verdict == VerdictUnknown {
			t.Errorf("%s of %s against %s is not measured", target.What, target.Own, target.Against)
		}
		if target.Unit == "×" && value != 1 {
			t.Errorf("%s of %s against %s: got %v of cells that are equal", target.What, target.Own, target.Against, value)
		}
		if better := target.Goal >= target.Least; better == target.AtMost && target.Goal != target.Least {
			t.Errorf("%s: the goal %v is not better than %v", target.What, target.Goal, target.Least)
		}
		if _, verdict := target.Judge(measure.NewResults(measure.Options{})); verdict != VerdictUnknown {
			t.Errorf("%s without results: %s", target.What, verdict)
		}
	}
}

func TestJudge(t *testing.T) {
	own, other := key(app.Small(), peer.Session, bulk), key(app.Small(), peer.HTTP1, bulk)
	faster := throughput(app.Small(), peer.Session, peer.HTTP1, 2, 2.5)
	cheaper := cost(app.Small(), peer.Session, peer.HTTP1, 1.5, 1.1)
	for _, test := range []struct {
		own, other      float64
		faster, cheaper Verdict
	}{
		{10, 30, VerdictGoal, VerdictGoal},
		{10, 25, VerdictGoal, VerdictGoal},
		{10, 20, VerdictReached, VerdictGoal},
		{10, 19.96, VerdictReached, VerdictGoal}, // which is printed as 2.00
		{10, 19.9, VerdictMissed, VerdictGoal},
		{11, 10, VerdictMissed, VerdictGoal},
		{15, 10, VerdictMissed, VerdictReached},
		{15.1, 10, VerdictMissed, VerdictMissed},
	} {
		results := measure.NewResults(measure.Options{})
		results.Add(own, measure.Sample{Wall: test.own})
		results.Add(other, measure.Sample{Wall: test.other})
		if _, got := faster.Judge(results); got != test.faster {
			t.Errorf("%v against %v: throughput: %s, want %s", test.own, test.other, got, test.faster)
		}
		if _, got := cheaper.Judge(results); got != test.cheaper {
			t.Errorf("%v against %v: cost: %s, want %s", test.own, test.other, got, test.cheaper)
		}
	}
}

func TestTable(t *testing.T) {
	table := &table{header: []string{"what", "µs"}, words: 1}
	table.add("a", "10.5")
	table.add("longer", "≤ 1×")
	want := "| what   |   µs |\n" +
		"|--------|-----:|\n" +
		"| a      | 10.5 |\n" +
		"| longer | ≤ 1× |\n"
	if got := table.String(); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

func TestDuration(t *testing.T) {
	for want, ns := range map[string]float64{
		"0.50 µs": 500, "12.3 µs": 12_345, "123 µs": 123_456, "1.23 ms": 1_234_567, "2.50 s": 2.5e9,
	} {
		if got := duration(ns); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// TestWrite writes a report and looks into it.
func TestWrite(t *testing.T) {
	dir := t.TempDir()
	if err := Write(dir, evenResults(), ThisSetting()); err != nil {
		t.Fatal(err)
	}
	text := read(t, dir, markdownFile)
	for _, want := range []string{
		"in 1 round of 1s,", "| Culvert, session ", "20.0 µs", "](" + concurrencyFile + ")", "](" + sizeFile + ")", "12.00 KiB", "≥ 2.5×", "go1.",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	for name, labels := range map[string][]string{
		concurrencyFile: {"Culvert, session", "nginx", "1024", "exchanges in flight"},
		sizeFile:        {"Culvert, session", "plain grpc-go tunnel", "64 MiB"},
	} {
		texts := svgTexts(t, read(t, dir, name))
		for _, label := range labels {
			if !strings.Contains(texts, label+"\n") {
				t.Errorf("%s: no %q in %q", name, label, texts)
			}
		}
	}
}

// TestWriteLittle has results that lack most cells.
func TestWriteLittle(t *testing.T) {
	results := measure.NewResults(measure.Options{Rounds: 1, Time: time.Second})
	results.Add(key(app.Small(), peer.Session, 1), measure.Sample{Wall: 1000})
	results.Add(key(app.Download(1), peer.Session, measure.BulkConcurrency), measure.Sample{Wall: 1000})
	dir := t.TempDir()
	if err := Write(dir, results, ThisSetting()); err != nil {
		t.Fatal(err)
	}
	if text := read(t, dir, markdownFile); strings.Contains(text, "NaN") || !strings.Contains(text, string(VerdictUnknown)) {
		t.Errorf("got\n%s", text)
	}
}

// TestLooks has each line drawn in its own way.
func TestLooks(t *testing.T) {
	seen := make(map[look]string)
	for name, look := range looks {
		if other := seen[look]; other != "" {
			t.Errorf("%s looks like %s", name, other)
		}
		seen[look] = name
	}
	for _, name := range append(measure.SweptByConcurrency(), measure.SweptByLength()...) {
		if _, found := looks[name]; !found {
			t.Errorf("%s has no look", name)
		}
	}
}

func TestCostTicks(t *testing.T) {
	for _, test := range []struct {
		from, to float64
		want     string
	}{
		{18e3, 210e3, "20 µs 50 µs 100 µs 200 µs"},
		{18e3, 210e6, "100 µs 1 ms 10 ms 100 ms"},
		{0.5e9, 3e9, "500 ms 1 s 2 s"},
	} {
		var labels []string
		for _, tick := range costTicks(test.from, test.to) {
			labels = append(labels, tick.Label)
		}
		if got := strings.Join(labels, " "); got != test.want {
			t.Errorf("%v to %v: got %q, want %q", test.from, test.to, got, test.want)
		}
	}
}

func TestCostsAreAroundAllPoints(t *testing.T) {
	for _, test := range []struct{ least, most, from, to float64 }{
		{25e3, 110e3, 20e3, 200e3},
		{1e3, 1e3, 1e3, 2e3},
		{99e3, 5e5, 50e3, 1e6},
		{9e3, 9e3, 5e3, 10e3},
	} {
		p := &picture{series: []series{{points: plotter.XYs{{X: 1, Y: test.most}, {X: 2, Y: test.least}}}}}
		if from, to := p.costs(); from != test.from || to != test.to {
			t.Errorf("%v to %v: got %v to %v", test.least, test.most, from, to)
		}
	}
}

func read(tb testing.TB, dir, name string) string {
	tb.Helper()
	content, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		tb.Fatal(err)
	}
	return string(content)
}

// svgTexts returns all text of an SVG that is well formed, by line.
func svgTexts(tb testing.TB, svg string) string {
	tb.Helper()
	var texts bytes.Buffer
	decoder := xml.NewDecoder(strings.NewReader(svg))
	for {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			return texts.String()
		} else if err != nil {
			tb.Fatal(err)
		}
		if data, ok := token.(xml.CharData); ok {
			texts.Write(data)
			texts.WriteByte('\n')
		}
	}
}
