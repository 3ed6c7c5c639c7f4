package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/culvert-http/culvert/internal/server"
)

// firstProbe is how long the start waits for the first probe, so that health is
// right when the server says that it listens. An upstream that refuses
// connections, or takes them, answers at once.
const firstProbe = time.Second

// healthFlags say what the health of the server is.
type healthFlags struct {
	HealthUpstream  bool          `default:"true" negatable:"" help:"Be healthy and ready only while the upstream answers." group:"Health"`
	HealthPath      string        `help:"Path of the upstream that has to answer a GET with a status under 400. Without it a connection is enough." placeholder:"/PATH" group:"Health"`
	HealthInterval  time.Duration `default:"${health_interval}" help:"Time between two probes of the upstream." group:"Health"`
	HealthTimeout   time.Duration `default:"${health_timeout}" help:"Bound of the time of a probe." group:"Health"`
	HealthFailures  int           `default:"${health_failures}" help:"Number of probes that fail in a row before the upstream is down." group:"Health"`
	HealthSuccesses int           `default:"${health_successes}" help:"Number of probes that succeed in a row before it is up again." group:"Health"`
	ReadyPath       string        `default:"/readyz" help:"Path that answers a GET with 200 while the server is healthy, with 503 otherwise; empty for none." group:"Health"`
	LivePath        string        `default:"/livez" help:"Path that answers a GET with 200 while the process is there; empty for none." group:"Health"`
}

func healthDefaults() map[string]string {
	return map[string]string{
		"health_interval":  server.DefaultProbeInterval.String(),
		"health_timeout":   server.DefaultProbeTimeout.String(),
		"health_failures":  strconv.Itoa(server.DefaultProbeFailures),
		"health_successes": strconv.Itoa(server.DefaultProbeSuccesses),
	}
}

func (f *healthFlags) validate() error {
	switch {
	case f.HealthInterval <= 0 || f.HealthTimeout <= 0:
		return errors.New("--health-interval and --health-timeout must be more than 0")
	case f.HealthFailures <= 0 || f.HealthSuccesses <= 0:
		return errors.New("--health-failures and --health-successes must be more than 0")
	case f.HealthPath != "" && !validProbePath(f.HealthPath):
		return fmt.Errorf("--health-path: %q is not a path, such as /healthz", f.HealthPath)
	}
	if err := server.ValidateStatePaths(f.ReadyPath, f.LivePath); err != nil {
		return fmt.Errorf("--ready-path and --live-path: %w", err)
	}
	return nil
}

func validProbePath(path string) bool {
	_, err := url.ParseRequestURI(path)
	return err == nil && path[0] == '/' && !strings.ContainsAny(path, " #")
}

// startProbe has health follow the target's, if that is another server, until
// stop is called.
func (f *healthFlags) startProbe(target *target, health *server.Health, logger *slog.Logger) (stop func()) {
	if target.ready == nil || !f.HealthUpstream {
		return func() {}
	}
	check := target.ready
	if f.HealthPath != "" {
		check = (&pathProbe{target: target, path: f.HealthPath}).check
	}
	prober := server.StartProbe(server.Probe{
		Check:     check,
		Interval:  f.HealthInterval,
		Timeout:   f.HealthTimeout,
		Failures:  f.HealthFailures,
		Successes: f.HealthSuccesses,
		Recheck:   target.changed(),
		Logger:    logger,
	}, health)
	select {
	case <-prober.Settled():
	case <-time.After(firstProbe):
	}
	return prober.Stop
}

// pathProbe asks an upstream for a path, on the way that every exchange takes.
type pathProbe struct {
	target *target
	path   string
}

func (p *pathProbe) check(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "/", nil)
	if err != nil {
		return err
	}
	req.RequestURI = p.path
	req.Header.Set("User-Agent", "culvert")
	status, err := p.ask(req)
	if err != nil {
		return err
	}
	if status >= http.StatusBadRequest {
		return fmt.Errorf("GET %s: status %d", p.path, status)
	}
	return nil
}

// ask returns the status of the response. What becomes of its body does not
// matter.
func (p *pathProbe) ask(req *http.Request) (status int, err error) {
	answer := &probeAnswer{header: make(http.Header)}
	defer func() {
		aborted := recover()
		if aborted != nil && aborted != http.ErrAbortHandler {
			panic(aborted)
		}
		if status = answer.status; status == 0 {
			err = p.whyAborted(req.Context())
		}
	}()
	p.target.ServeHTTP(answer, req)
	return answer.status, nil
}

// whyAborted finds out what an abort does not say.
func (p *pathProbe) whyAborted(ctx context.Context) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	if err := p.target.ready(ctx); err != nil {
		return err
	}
	return fmt.Errorf("GET %s: the response is not HTTP, or was cut short", p.path)
}

// maxProbeBody bounds the body of the answer to a probe, which is read only so
// that the connection can be used again.
const maxProbeBody = 64 << 10

// probeAnswer is the http.ResponseWriter that keeps the status alone.
type probeAnswer struct {
	header http.Header
	status int
	body   int
}

// Header implements http.ResponseWriter.
func (a *probeAnswer) Header() http.Header { return a.header }

// WriteHeader implements http.ResponseWriter.
func (a *probeAnswer) WriteHeader(status int) {
	if status >= http.StatusOK {
		a.status = status
	}
}

// Write implements http.ResponseWriter.
func (a *probeAnswer) Write(p []byte) (int, error) {
	if a.body += len(p); a.body > maxProbeBody {
		return 0, io.ErrShortWrite
	}
	return len(p), nil
}
