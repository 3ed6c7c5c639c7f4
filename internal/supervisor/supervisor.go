// Package supervisor runs an application that listens on a unix socket: it
// starts it, waits until it listens, starts it again when it ends, and ends it
// with all that it has started.
package supervisor

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

// SocketVariable is the variable of the application's environment that has the
// path of the socket.
const SocketVariable = "CULVERT_SOCKET"

// Defaults of [Config].
const (
	DefaultStartTimeout = 30 * time.Second
	DefaultStopTimeout  = 10 * time.Second
	DefaultMaxRestarts  = 10
	DefaultSteady       = 10 * time.Second
	DefaultMinDelay     = 100 * time.Millisecond
	DefaultMaxDelay     = 30 * time.Second
)

// Config says what is run, and how.
type Config struct {
	// Command is a program and its arguments, as [CheckCommand] has it.
	Command string
	// StartTimeout bounds the time from the start of the command until it listens.
	// 0 means DefaultStartTimeout.
	StartTimeout time.Duration
	// StopTimeout is the time that it has to end after SIGTERM, before SIGKILL. 0
	// means DefaultStopTimeout.
	StopTimeout time.Duration
	// MaxRestarts bounds the restarts in a row, after which the supervisor gives
	// up: those with no time of Steady in between in which the application
	// listened. 0 means DefaultMaxRestarts, less than 0 no bound.
	MaxRestarts int
	// Steady is DefaultSteady if 0.
	Steady time.Duration
	// MinDelay is the wait before the first restart of a row. It doubles with each,
	// up to MaxDelay, and is up to half as much more or less, at random. 0 means
	// DefaultMinDelay and DefaultMaxDelay.
	MinDelay, MaxDelay time.Duration
	// Logger gets what the application writes, a line an entry, and what becomes of
	// it. Nil means slog.Default().
	Logger *slog.Logger
}

func (c Config) withDefaults() Config {
	for _, duration := range []struct {
		value     *time.Duration
		otherwise time.Duration
	}{
		{&c.StartTimeout, DefaultStartTimeout},
		{&c.StopTimeout, DefaultStopTimeout},
		{&c.Steady, DefaultSteady},
		{&c.MinDelay, DefaultMinDelay},
		{&c.MaxDelay, DefaultMaxDelay},
	} {
		if *duration.value == 0 {
			*duration.value = duration.otherwise
		}
	}
	if c.MaxRestarts == 0 {
		c.MaxRestarts = DefaultMaxRestarts
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return c
}

// Supervisor runs one application. Its methods may be called concurrently.
type Supervisor struct {
	config Config
	socket *socket
	words  []string // the command

	// changed has room for one: that there was a change is all it tells.
	changed chan struct{}
	// started is closed when the application listens for the first time.
	started chan struct{}
	// stopping and killing are closed on request, done at the end.
	stopping, killing, done chan struct{}
	stopOnce, killOnce      sync.Once
	// err is why the supervisor has given up. It is set before done is closed.
	err error
}

// Start starts the application and returns when it listens. It fails if that
// takes too long, if the application ends before it does, and if ctx is done;
// nothing is left running then.
func Start(ctx context.Context, config Config) (*Supervisor, error) {
	at, err := newSocket()
	if err != nil {
		return nil, err
	}
	words, err := splitCommand(config.Command, at.path)
	if err != nil {
		at.remove()
		return nil, err
	}
	s := &Supervisor{
		config:   config.withDefaults(),
		socket:   at,
		words:    words,
		changed:  make(chan struct{}, 1),
		started:  make(chan struct{}),
		stopping: make(chan struct{}),
		killing:  make(chan struct{}),
		done:     make(chan struct{}),
	}
	go s.supervise()
	select {
	case <-s.started:
		return s, nil
	case <-s.done:
		return nil, fmt.Errorf("start application: %w", s.err)
	case <-ctx.Done():
		s.Stop()
		return nil, fmt.Errorf("start application: %w", context.Cause(ctx))
	}
}

// Socket is the path that the application listens on. It stays the same over
// restarts.
func (s *Supervisor) Socket() string { return s.socket.path }

// Changed has something whenever the application has ended, or listens again.
func (s *Supervisor) Changed() <-chan struct{} { return s.changed }

// Done is closed when the application has ended and is not started again.
func (s *Supervisor) Done() <-chan struct{} { return s.done }

// Err is why the supervisor has given up, nil if it has not.
func (s *Supervisor) Err() error {
	select {
	case <-s.done:
		return s.err
	default:
		return nil
	}
}

// Stop ends the application and all processes of its group, with SIGTERM and,
// when the time for that has passed, SIGKILL. What is left of the group when the
// application itself has ended is killed. Stop returns when all have ended.
func (s *Supervisor) Stop() {
	s.stopOnce.Do(func() { close(s.stopping) })
	<-s.done
}

// Kill is Stop without any time between the signals, also for a Stop that waits.
func (s *Supervisor) Kill() {
	s.killOnce.Do(func() { close(s.killing) })
	s.Stop()
}

var errStopped = errors.New("it was stopped")

func (s *Supervisor) isStopping() bool {
	select {
	case <-s.stopping:
		return true
	default:
		return false
	}
}

func (s *Supervisor) hasStarted() bool {
	select {
	case <-s.started:
		return true
	default:
		return false
	}
}
