package report

import (
	"math"

	"github.com/culvert-http/culvert/bench/internal/app"
	"github.com/culvert-http/culvert/bench/internal/measure"
	"github.com/culvert-http/culvert/bench/internal/peer"
)

const mebibyte = 1 << 20

// A Target is what Culvert wants to reach.
type Target struct {
	// What says what is measured, Own on what, and Against beside what; it is empty
	// for a number that stands for itself.
	What, Own, Against string
	// Least is what has to be reached, and Goal what would be better. Where AtMost is
	// set, less is better; else more is.
	Least, Goal float64
	AtMost      bool
	Unit        string

	// value is in the unit; cpu, if not nil, is the same by the CPU's time. Both are
	// NaN where it was not measured.
	value, cpu func(*measure.Results) float64
}

// Targets returns all targets, in their order.
func Targets() []Target {
	small, download, upload := app.Small(), app.Download(mebibyte), app.Upload(mebibyte)
	targets := []Target{
		throughput(small, peer.Session, peer.Dskit, 2.5, 3),
		throughput(small, peer.Session, peer.H2C, 3, 4),
		throughput(small, peer.Session, peer.HTTP1, 2, 2.5),
		latency(small, peer.Session, peer.Dskit, 0.75, 0.7),
		latency(small, peer.Session, peer.H2C, 0.8, 0.65),
		latency(small, peer.Session, peer.HTTP1, 1.5, 1.1),
		throughput(small, peer.Gateway, peer.ReverseProxy, 2, 2.5),
		throughput(small, peer.Gateway, peer.DskitGateway, 1.6, 2),
		cost(small, peer.Exchange, peer.BareConnect, 1, 0.8),
	}
	for _, own := range []string{peer.Session, peer.Exchange} {
		targets = append(targets,
			throughput(download, own, peer.H2C, 2, 2.5),
			throughput(download, own, peer.GRPCTunnel, 1.2, 1.5),
			throughput(download, own, peer.HTTP1, 0.4, 0.6))
	}
	for _, own := range []string{peer.Session, peer.Exchange} {
		targets = append(targets,
			throughput(upload, own, peer.H2C, 0.6, 0.8),
			throughput(upload, own, peer.Dskit, 1.5, 2))
	}
	return append(targets,
		latency(app.WebSocket(), peer.Auto, peer.HTTP1, 1.3, 1),
		idleBytes(peer.Session, 16<<10, 8<<10),
		idleGoroutines(peer.Session, 2, 2),
		allocations(small, peer.Session, 60, 45),
	)
}

// bulk is how many exchanges are in flight where it is about throughput.
const bulk = 64

// throughput is how many times as much gets through as by another peer.
func throughput(work app.Work, own, against string, least, goal float64) Target {
	over, under := key(work, against, bulk), key(work, own, bulk)
	return Target{
		What:    "throughput of a " + describe(work, bulk),
		Own:     peerTitle(own),
		Against: peerTitle(against),
		Least:   least, Goal: goal, Unit: "×",
		value: func(r *measure.Results) float64 { return r.Ratio(over, under, measure.Wall) },
		cpu:   func(r *measure.Results) float64 { return r.Ratio(over, under, measure.CPU) },
	}
}

// latency is how many times as long one exchange alone takes as by another peer.
func latency(work app.Work, own, against string, least, goal float64) Target {
	t := costAt(work, own, against, 1, least, goal)
	t.What = "latency of a " + t.What
	return t
}

// cost is how many times as much an exchange among others takes.
func cost(work app.Work, own, against string, least, goal float64) Target {
	t := costAt(work, own, against, bulk, least, goal)
	t.What = "cost of a " + t.What
	return t
}

func costAt(work app.Work, own, against string, concurrency int, least, goal float64) Target {
	over, under := key(work, own, concurrency), key(work, against, concurrency)
	return Target{
		What:    describe(work, concurrency),
		Own:     peerTitle(own),
		Against: peerTitle(against),
		Least:   least, Goal: goal, AtMost: true, Unit: "×",
		value: func(r *measure.Results) float64 { return r.Ratio(over, under, measure.Wall) },
		cpu:   func(r *measure.Results) float64 { return r.Ratio(over, under, measure.CPU) },
	}
}

func idleBytes(own string, least, goal float64) Target {
	return Target{
		What:  "heap and stacks of an idle exchange",
		Own:   peerTitle(own),
		Least: least / kibibyte, Goal: goal / kibibyte, AtMost: true, Unit: " KiB",
		value: func(r *measure.Results) float64 { return idleOf(r, own).Bytes / kibibyte },
	}
}

func idleGoroutines(own string, least, goal float64) Target {
	return Target{
		What:  "goroutines of an idle exchange",
		Own:   peerTitle(own),
		Least: least, Goal: goal, AtMost: true,
		value: func(r *measure.Results) float64 { return idleOf(r, own).Goroutines },
	}
}

const kibibyte = 1 << 10

func idleOf(r *measure.Results, name string) measure.Idle {
	idle, found := r.Idle(name)
	if !found {
		return measure.Idle{Bytes: math.NaN(), Goroutines: math.NaN()}
	}
	return idle
}

// allocations counts those of one exchange alone, which does not share them.
func allocations(work app.Work, own string, least, goal float64) Target {
	return Target{
		What:  "allocations of a " + describe(work, 1),
		Own:   peerTitle(own),
		Least: least, Goal: goal, AtMost: true,
		value: func(r *measure.Results) float64 { return r.Median(key(work, own, 1), measure.Allocs) },
	}
}

// A Verdict says how far a target is reached.
type Verdict string

// The verdicts.
const (
	VerdictUnknown Verdict = "not measured"
	VerdictMissed  Verdict = "no"
	VerdictReached Verdict = "yes"
	VerdictGoal    Verdict = "the goal"
)

// Judge returns what was measured, and what to make of it.
func (t *Target) Judge(r *measure.Results) (float64, Verdict) {
	value := t.value(r)
	switch {
	case math.IsNaN(value):
		return value, VerdictUnknown
	case t.reaches(value, t.Goal):
		return value, VerdictGoal
	case t.reaches(value, t.Least):
		return value, VerdictReached
	default:
		return value, VerdictMissed
	}
}

// reaches compares what is printed: two digits after the point.
func (t *Target) reaches(value, bound float64) bool {
	value = math.Round(value*100) / 100
	if t.AtMost {
		return value <= bound
	}
	return value >= bound
}

func key(work app.Work, name string, concurrency int) measure.Key {
	return measure.Key{Peer: name, Work: work.Name, Concurrency: concurrency}
}
