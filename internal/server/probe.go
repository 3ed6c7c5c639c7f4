package server

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"
)

// Defaults of [Probe].
const (
	DefaultProbeInterval  = 2 * time.Second
	DefaultProbeTimeout   = 2 * time.Second
	DefaultProbeFailures  = 2
	DefaultProbeSuccesses = 1
)

// Probe says how the state of what is behind the tunnel is found out.
type Probe struct {
	// Check returns nil if all is well. It must heed its context.
	Check func(context.Context) error
	// Interval is the time from the end of one check to the start of the next.
	// 0 means DefaultProbeInterval.
	Interval time.Duration
	// Timeout bounds a check. 0 means DefaultProbeTimeout.
	Timeout time.Duration
	// Failures is how many checks fail in a row before health turns to
	// NOT_SERVING, Successes how many succeed before it turns back. 0 means
	// DefaultProbeFailures and DefaultProbeSuccesses. The first check of all
	// counts at once.
	Failures, Successes int
	// Recheck has something when there is reason to believe that the state has
	// changed: a check follows that counts at once. Nil means that nobody knows.
	Recheck <-chan struct{}
	// Logger gets the changes. Nil means slog.Default().
	Logger *slog.Logger
}

// Prober keeps a [Health] at the state of what is behind the tunnel.
type Prober struct {
	probe  Probe
	health *Health
	// serving is what health was set to, run how many checks in a row said
	// otherwise. They belong to the goroutine.
	serving bool
	run     int

	settled chan struct{}
	cancel  context.CancelFunc
	stopped sync.WaitGroup
}

// StartProbe checks until [Prober.Stop]. Health is NOT_SERVING until the first
// check has succeeded.
func StartProbe(probe Probe, health *Health) *Prober {
	ctx, cancel := context.WithCancel(context.Background())
	p := &Prober{
		probe:   probe.withDefaults(),
		health:  health,
		settled: make(chan struct{}),
		cancel:  cancel,
	}
	health.SetServing(false)
	p.stopped.Go(func() { p.loop(ctx) })
	return p
}

func (p Probe) withDefaults() Probe {
	if p.Interval == 0 {
		p.Interval = DefaultProbeInterval
	}
	if p.Timeout == 0 {
		p.Timeout = DefaultProbeTimeout
	}
	if p.Failures == 0 {
		p.Failures = DefaultProbeFailures
	}
	if p.Successes == 0 {
		p.Successes = DefaultProbeSuccesses
	}
	if p.Logger == nil {
		p.Logger = slog.Default()
	}
	return p
}

// Settled is closed after the first check.
func (p *Prober) Settled() <-chan struct{} { return p.settled }

// Stop ends the checks and returns when none is running. Health stays as it is.
func (p *Prober) Stop() {
	p.cancel()
	p.stopped.Wait()
}

func (p *Prober) loop(ctx context.Context) {
	err := p.check(ctx)
	if ctx.Err() != nil {
		return
	}
	p.first(err)
	close(p.settled)
	timer := time.NewTimer(p.probe.Interval)
	defer timer.Stop()
	for {
		counts := p.count
		select {
		case <-timer.C:
		case <-p.probe.Recheck:
			counts = p.set
		case <-ctx.Done():
			return
		}
		err := p.check(ctx)
		if ctx.Err() != nil {
			return
		}
		counts(err)
		timer.Reset(p.probe.Interval)
	}
}

var errProbeTimeout = errors.New("no answer in time")

func (p *Prober) check(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, p.probe.Timeout, errProbeTimeout)
	defer cancel()
	return p.probe.Check(ctx)
}

// count turns health when there have been enough checks in a row that say
// otherwise.
func (p *Prober) count(err error) {
	if (err == nil) == p.serving {
		p.run = 0
		return
	}
	threshold := p.probe.Successes
	if err != nil {
		threshold = p.probe.Failures
	}
	if p.run++; p.run >= threshold {
		p.turn(err)
	}
}

// first sets health to what the first check says. That all is well goes without
// saying.
func (p *Prober) first(err error) {
	if err != nil {
		p.turn(err)
		return
	}
	p.serving = true
	p.health.SetServing(true)
}

// set turns health to what one check says.
func (p *Prober) set(err error) {
	p.run = 0
	if (err == nil) != p.serving {
		p.turn(err)
	}
}

func (p *Prober) turn(err error) {
	p.run, p.serving = 0, err == nil
	p.health.SetServing(p.serving)
	if err != nil {
		p.probe.Logger.Warn("the upstream does not answer", "err", err.Error())
	} else {
		p.probe.Logger.Info("the upstream answers")
	}
}
