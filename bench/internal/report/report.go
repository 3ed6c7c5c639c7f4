package report

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"

	"github.com/culvert-http/culvert/bench/internal/app"
	"github.com/culvert-http/culvert/bench/internal/measure"
	"github.com/culvert-http/culvert/bench/internal/peer"
)

// Names of what is written.
const (
	markdownFile    = "bench.md"
	concurrencyFile = "bench-concurrency.svg"
	sizeFile        = "bench-size.svg"
)

// Write writes bench.md and its pictures to a folder, over what is there.
func Write(folder string, results *measure.Results, setting Setting) error {
	byConcurrency, err := concurrencyPicture(results).SVG()
	if err != nil {
		return err
	}
	bySize, err := sizePicture(results).SVG()
	if err != nil {
		return err
	}
	for _, file := range []struct {
		name    string
		content []byte
	}{
		{markdownFile, []byte(Markdown(results, setting))},
		{concurrencyFile, byConcurrency},
		{sizeFile, bySize},
	} {
		if err := os.WriteFile(filepath.Join(folder, file.name), file.content, 0o644); err != nil { //nolint:gosec // for all to read
			return fmt.Errorf("write report: %w", err)
		}
	}
	return nil
}

func concurrencyPicture(results *measure.Results) *picture {
	p := &picture{title: "A small exchange, alone and beside others", axis: "exchanges in flight"}
	for _, concurrency := range measure.Concurrencies() {
		p.ticks = append(p.ticks, plot.Tick{Value: float64(concurrency), Label: fmt.Sprint(concurrency)})
	}
	for _, name := range measure.SweptByConcurrency() {
		one := series{peer: name}
		for _, concurrency := range measure.Concurrencies() {
			one.add(float64(concurrency), results.Median(key(app.Small(), name, concurrency), measure.Wall))
		}
		p.add(one)
	}
	return p
}

func sizePicture(results *measure.Results) *picture {
	p := &picture{
		title: fmt.Sprintf("Responses of 1 B to 64 MiB, %d in flight", measure.BulkConcurrency),
		axis:  "length of the response's body",
	}
	for _, length := range measure.Lengths() {
		p.ticks = append(p.ticks, plot.Tick{Value: float64(length), Label: bytesTitle(length)})
	}
	for _, name := range measure.SweptByLength() {
		one := series{peer: name}
		for _, length := range measure.Lengths() {
			one.add(float64(length), results.Median(key(app.Download(length), name, measure.BulkConcurrency), measure.Wall))
		}
		p.add(one)
	}
	return p
}

// add adds a point, unless it was not measured.
func (s *series) add(x, y float64) {
	if !math.IsNaN(y) {
		s.points = append(s.points, plotter.XY{X: x, Y: y})
	}
}

// add adds a series that has points.
func (p *picture) add(one series) {
	if len(one.points) > 0 {
		p.series = append(p.series, one)
	}
}

// Markdown returns the text of the report.
func Markdown(results *measure.Results, setting Setting) string {
	var b strings.Builder
	fmt.Fprintf(&b, intro, rounds(results.Rounds), results.Time)
	section(&b, "Targets", targetsText, targetsTable(results))
	section(&b, "Small exchanges", smallText, concurrencyTable(results))
	section(&b, "What a small exchange costs", costText, costTable(results, app.Small()))
	section(&b, "Sizes", fmt.Sprintf(sizesText, measure.BulkConcurrency), sizeTable(results))
	section(&b, "Responses of 1 MiB", "", costTable(results, app.Download(mebibyte)))
	section(&b, "Requests of 1 MiB", "", costTable(results, app.Upload(mebibyte)))
	section(&b, "WebSockets", websocketText, websocketTable(results))
	section(&b, "Idle exchanges", idleText, idleTable(results))
	b.WriteString(setting.String())
	return b.String()
}

func rounds(n int) string {
	if n == 1 {
		return "1 round"
	}
	return fmt.Sprintf("%d rounds", n)
}

func section(b *strings.Builder, title, text string, t *table) {
	fmt.Fprintf(b, "\n## %s\n\n", title)
	if text != "" {
		b.WriteString(text + "\n\n")
	}
	b.WriteString(t.String())
}

func targetsTable(results *measure.Results) *table {
	t := &table{header: []string{"what", "of", "against", "measured", "by CPU time", "at least", "goal", "reached"}, words: 3}
	for _, target := range Targets() {
		value, verdict := target.Judge(results)
		cpu := math.NaN()
		if target.cpu != nil {
			cpu = target.cpu(results)
		}
		t.add(target.What, target.Own, target.Against, number(value, target.Unit), number(cpu, target.Unit),
			target.bound(target.Least), target.bound(target.Goal), string(verdict))
	}
	return t
}

// bound prints a bound with its direction.
func (t *Target) bound(x float64) string {
	if t.AtMost {
		return fmt.Sprintf("≤ %g%s", x, t.Unit)
	}
	return fmt.Sprintf("≥ %g%s", x, t.Unit)
}

func concurrencyTable(results *measure.Results) *table {
	t := &table{header: []string{"in flight"}, words: 1}
	for _, concurrency := range measure.Concurrencies() {
		t.header = append(t.header, fmt.Sprint(concurrency))
	}
	for _, name := range measure.SweptByConcurrency() {
		row := []string{peerTitle(name)}
		for _, concurrency := range measure.Concurrencies() {
			row = append(row, duration(results.Median(key(app.Small(), name, concurrency), measure.Wall)))
		}
		t.add(row...)
	}
	return t
}

func sizeTable(results *measure.Results) *table {
	t := &table{header: []string{"body"}, words: 1}
	for _, length := range measure.Lengths() {
		t.header = append(t.header, bytesTitle(length))
	}
	for _, name := range measure.SweptByLength() {
		row := []string{peerTitle(name)}
		for _, length := range measure.Lengths() {
			row = append(row, duration(results.Median(key(app.Download(length), name, measure.BulkConcurrency), measure.Wall)))
		}
		t.add(row...)
	}
	return t
}

// costTable has all numbers of a work, alone and in bulk.
func costTable(results *measure.Results, work app.Work) *table {
	t := &table{header: []string{"", "time, 1", "time, 64", "CPU, 1", "CPU, 64", "allocations, 1", "bytes, 1"}, words: 1}
	for _, p := range peer.List() {
		one, many := key(work, p.Name, 1), key(work, p.Name, bulk)
		if !results.Has(one) && !results.Has(many) {
			continue
		}
		t.add(p.Title,
			duration(results.Median(one, measure.Wall)), duration(results.Median(many, measure.Wall)),
			cpuOf(p, results, one), cpuOf(p, results, many),
			digits(results.Median(one, measure.Allocs)), digits(results.Median(one, measure.Bytes)))
	}
	return t
}

// cpuOf says nothing where a process takes part that is not measured.
func cpuOf(p *peer.Peer, results *measure.Results, key measure.Key) string {
	if p.Outside {
		return unknown
	}
	return duration(results.Median(key, measure.CPU))
}

func websocketTable(results *measure.Results) *table {
	t := &table{header: []string{"", "time", "CPU", "allocations"}, words: 1}
	for _, p := range peer.List() {
		if one := key(app.WebSocket(), p.Name, 1); results.Has(one) {
			t.add(p.Title, duration(results.Median(one, measure.Wall)), cpuOf(p, results, one),
				digits(results.Median(one, measure.Allocs)))
		}
	}
	return t
}

func idleTable(results *measure.Results) *table {
	t := &table{header: []string{"", "exchanges", "KiB each", "goroutines each"}, words: 1}
	for _, p := range peer.List() {
		if idle, found := results.Idle(p.Name); found {
			t.add(p.Title, fmt.Sprint(idle.Exchanges), digits(idle.Bytes/kibibyte), digits(idle.Goroutines))
		}
	}
	return t
}
