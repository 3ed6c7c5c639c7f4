package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"text/tabwriter"
	"time"

	"github.com/culvert-http/culvert/bench/internal/measure"
	"github.com/culvert-http/culvert/bench/internal/peer"
	"github.com/culvert-http/culvert/bench/internal/report"
)

// run measures what the configuration says.
func run(ctx context.Context, c *config, stdout, stderr io.Writer) (err error) {
	peers := installedPeers(stderr)
	cells, idle := c.choose(measure.Cells(peers)), c.chooseIdle(peers)
	switch {
	case len(cells)+len(idle) == 0:
		return fmt.Errorf("no cell matches %s: see -list", c.cells)
	case c.list:
		return list(stdout, cells, idle)
	}
	finish, err := c.profile(len(cells) + len(idle))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, finish()) }()
	log := newProgress(stderr, len(cells)*c.rounds)
	results, err := measure.Rounds(ctx, cells, measure.Options{Rounds: c.rounds, Time: c.time, Took: func(round int, key measure.Key, s measure.Sample) {
		log.took(round, key)
		printSample(stdout, key, s)
	}})
	if err != nil {
		return err
	}
	if err := measureIdle(ctx, idle, results, stdout, stderr); err != nil {
		return err
	}
	switch {
	case c.cells != nil:
		return printMedians(stderr, cells, results)
	case c.docs != "":
		fmt.Fprintln(stderr, "writing the report to", c.docs)
		return report.Write(c.docs, results, report.ThisSetting())
	}
	return nil
}

func list(w io.Writer, cells []measure.Cell, idle []idleCell) error {
	for _, cell := range cells {
		if _, err := fmt.Fprintln(w, cell.Key()); err != nil {
			return err
		}
	}
	for _, cell := range idle {
		if _, err := fmt.Fprintln(w, cell); err != nil {
			return err
		}
	}
	return nil
}

// installedPeers leaves out what cannot be measured here, and says so.
func installedPeers(stderr io.Writer) []*peer.Peer {
	var installed []*peer.Peer
	for _, p := range peer.List() {
		if p.Installed() {
			installed = append(installed, p)
		} else {
			fmt.Fprintf(stderr, "%s is not installed, and left out: %s\n", p.Needs, p.Install)
		}
	}
	return installed
}

// choose returns the cells that are to be measured.
func (c *config) choose(all []measure.Cell) []measure.Cell {
	if c.cells == nil {
		return all
	}
	var chosen []measure.Cell
	for _, cell := range all {
		if c.cells.MatchString(cell.Key().String()) {
			chosen = append(chosen, cell)
		}
	}
	return chosen
}

// printSample prints a line as testing does.
func printSample(w io.Writer, key measure.Key, s measure.Sample) {
	fmt.Fprintf(w, "Benchmark/%s %d %.0f ns/op %.0f cpu-ns/op %.0f B/op %.1f allocs/op\n",
		key, s.Exchanges, s.Wall, s.CPU, s.Bytes, s.Allocs)
}

// printMedians prints a table for those who compare a few cells.
func printMedians(w io.Writer, cells []measure.Cell, results *measure.Results) error {
	if len(cells) == 0 {
		return nil
	}
	fmt.Fprintf(w, "\nmedians of %d rounds\n", results.Rounds)
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "cell\ttime\tCPU\tallocations\tbytes\t")
	for _, cell := range cells {
		key := cell.Key()
		fmt.Fprintf(table, "%s\t%s\t%s\t%.1f\t%.0f\t\n", key,
			microseconds(results.Median(key, measure.Wall)), microseconds(results.Median(key, measure.CPU)),
			results.Median(key, measure.Allocs), results.Median(key, measure.Bytes))
	}
	return table.Flush()
}

func microseconds(ns float64) string { return fmt.Sprintf("%.1f µs", ns/1e3) }

// progress says what is being measured, a line for each work and concurrency.
type progress struct {
	w           io.Writer
	began       time.Time
	done, total int
	last        string
}

func newProgress(w io.Writer, total int) *progress {
	return &progress{w: w, began: time.Now(), total: total}
}

func (p *progress) took(round int, key measure.Key) {
	p.done++
	line := fmt.Sprintf("round %d, %s, %d in flight", round+1, key.Work, key.Concurrency)
	if line == p.last {
		return
	}
	p.last = line
	part := float64(p.done) / float64(p.total)
	left := time.Duration(math.Round(float64(time.Since(p.began)) * (1 - part) / part))
	fmt.Fprintf(p.w, "%3.0f%%, about %s left: %s\n", 100*part, left.Round(time.Second), line)
}
