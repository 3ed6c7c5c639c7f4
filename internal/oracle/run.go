package oracle

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// Report counts what a run has found. Its fields may be read when the run is over.
type Report struct {
	Rows, Clients int
	// Comparisons is the number of outcomes that were compared with net/http's.
	Comparisons int
	// Explained counts the differences that have a reason, by reason, and
	// NotCarried the requests that a client cannot make.
	Explained, NotCarried map[string]int
	// Unexplained are the differences that are faults.
	Unexplained []string

	// applied and used are the gaps of rows that a comparison could have had a use
	// for, and those that one had.
	applied, used map[string]bool

	mu sync.Mutex
}

// exchangeTime bounds an exchange, which takes a few milliseconds.
const exchangeTime = time.Minute

// Run makes every request of rows with every client, and compares what happens
// with what happens behind net/http in the same version of HTTP. A difference
// without a reason fails the test.
//
// Rows run side by side, each on a rig of its own with clients of its own, for
// which setup is called as often as there is use for it. It makes the same
// clients each time, in the same order.
func Run(t *testing.T, rows []Row, setup func(testing.TB) (*Rig, []Client)) *Report {
	t.Helper()
	rigs := make(chan lane, runtime.GOMAXPROCS(0))
	for range cap(rigs) {
		rig, clients := setup(t)
		rigs <- lane{rig, clients}
	}
	first := <-rigs
	rigs <- first
	report := newReport(len(rows), len(first.clients))
	t.Run("rows", func(t *testing.T) { // ends with the last of them
		for i := range rows {
			row := &rows[i]
			for _, version := range row.versions() {
				t.Run(fmt.Sprintf("%s/%s", row.Name, version), func(t *testing.T) {
					t.Parallel()
					lane := <-rigs
					defer func() { rigs <- lane }()
					report.runRow(t, lane, row, version)
				})
			}
		}
	})
	return report
}

// lane carries one row at a time.
type lane struct {
	rig     *Rig
	clients []Client
}

func newReport(rows, clients int) *Report {
	return &Report{
		Rows:       rows,
		Clients:    clients,
		Explained:  make(map[string]int),
		NotCarried: make(map[string]int),
		applied:    make(map[string]bool),
		used:       make(map[string]bool),
	}
}

// runRow makes the request of a row in one version.
func (r *Report) runRow(t *testing.T, lane lane, row *Row, version Version) {
	t.Helper()
	rig := lane.rig
	var handler http.Handler = row.Handler
	if row.Setup != nil {
		handler = row.Setup(t)
	}
	run := func(do func(ctx context.Context) Outcome) Outcome {
		ctx, cancel := context.WithTimeout(t.Context(), exchangeTime)
		defer cancel()
		for {
			got := rig.outcome(ctx, handler, func() Outcome { return do(ctx) })
			// A request that its client has given up can reach the handler late, in the
			// place of the next one.
			if got.Header.Get(lateField) == "" || ctx.Err() != nil {
				return got
			}
		}
	}
	request := row.Request.filled()
	want := run(func(ctx context.Context) Outcome { return rig.reference(ctx, version, request) })
	if want.Class != row.Class || want.Status != row.Status {
		t.Fatalf("net/http: %v with status %d (%v), the row says %v with %d",
			want.Class, want.Status, want.Err, row.Class, row.Status)
	}
	for _, client := range lane.clients {
		if ok, reason := lane.carries(client, row, version); !ok {
			r.notCarried(reason)
			continue
		}
		got := run(func(ctx context.Context) Outcome { return client.Do(ctx, version, request) })
		via := Via{Row: row, Version: version, Class: want.Class, Route: client.Route()}
		for _, difference := range r.judge(client, via, &want, &got) {
			t.Errorf("%s: %v (error %v)", client.Name(), difference, got.Err)
		}
	}
}

// carries says whether a client can make the request of row so that the recorder
// gets it in version, and if not why.
func (l lane) carries(client Client, row *Row, version Version) (bool, string) {
	if ok, reason := l.rig.carries(version); !ok {
		return false, reason
	}
	return client.Carries(row, version)
}

func (r *Report) notCarried(reason string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.NotCarried[reason]++
}

// judge compares two outcomes, and returns what they differ in without a reason.
func (r *Report) judge(client Client, via Via, want, got *Outcome) []Difference {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.Comparisons++
	var unexplained []Difference
	for _, gap := range via.Row.Gaps {
		if gap.When == nil || gap.When(via) {
			r.applied[key(via.Row.Name, gap)] = true
		}
	}
	gaps := append(rules(), via.Row.Gaps...)
	for _, difference := range Compare(want, got) {
		i := slices.IndexFunc(gaps, func(gap Gap) bool { return gap.explains(difference, via) })
		if i >= 0 {
			r.Explained[gaps[i].Reason]++
			r.used[key(via.Row.Name, gaps[i])] = true
			continue
		}
		text := fmt.Sprintf("%s, %s, %s: %v (error %v)", via.Row.Name, via.Version, client.Name(), difference, got.Err)
		r.Unexplained = append(r.Unexplained, text)
		unexplained = append(unexplained, difference)
	}
	return unexplained
}

func key(row string, gap Gap) string { return row + "\x00" + gap.Aspect + "\x00" + gap.Reason }

// Stale returns the gaps of rows that were to be seen and were not: they were
// closed, and should go.
func (r *Report) Stale(rows []Row) []string {
	var stale []string
	for i := range rows {
		for _, gap := range rows[i].Gaps {
			if key := key(rows[i].Name, gap); r.applied[key] && !r.used[key] && !gap.Sometimes {
				stale = append(stale, fmt.Sprintf("%s: %s (%s)", rows[i].Name, gap.Aspect, gap.Reason))
			}
		}
	}
	return stale
}

// String returns the report as a few lines of text, the counts first.
func (r *Report) String() string {
	var text strings.Builder
	fmt.Fprintf(&text, "oracle: %d rows x %d clients = %d comparisons, %d explained gaps, %d unexplained, %d not carried\n",
		r.Rows, r.Clients, r.Comparisons, total(r.Explained), len(r.Unexplained), total(r.NotCarried))
	writeCounts(&text, "explained", r.Explained)
	writeCounts(&text, "not carried", r.NotCarried)
	for _, line := range r.Unexplained {
		fmt.Fprintf(&text, "  unexplained: %s\n", line)
	}
	return text.String()
}

func writeCounts(text *strings.Builder, what string, counts map[string]int) {
	for _, reason := range slices.Sorted(maps.Keys(counts)) {
		fmt.Fprintf(text, "  %s %5d: %s\n", what, counts[reason], reason)
	}
}

func total(counts map[string]int) int {
	all := 0
	for _, count := range counts {
		all += count
	}
	return all
}
