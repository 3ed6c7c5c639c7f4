package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/culvert-http/culvert/internal/accesslog"
	"github.com/culvert-http/culvert/internal/supervisor"
)

// execFlags are for an application that serve starts itself.
type execFlags struct {
	Exec         string        `help:"The application, in place of TARGET: a command that is started, and started again when it ends. It listens on a unix socket, whose path is {socket} in the command and $CULVERT_SOCKET in its environment." placeholder:"COMMAND" group:"Command"`
	ExecTimeout  time.Duration `default:"${exec_timeout}" help:"Bound of the time from the start of the command until it listens." group:"Command"`
	ExecGrace    time.Duration `default:"${exec_grace}" help:"Time for the command to end after SIGTERM, which it gets when exchanges have finished; then SIGKILL." group:"Command"`
	ExecRestarts int           `default:"${exec_restarts}" help:"Bound of its restarts in a row, after which serve drains and exits with 1; 0 for none." group:"Command"`
}

func execDefaults() map[string]string {
	return map[string]string{
		"exec_timeout":  supervisor.DefaultStartTimeout.String(),
		"exec_grace":    supervisor.DefaultStopTimeout.String(),
		"exec_restarts": strconv.Itoa(supervisor.DefaultMaxRestarts),
	}
}

func (f *execFlags) validate() error {
	switch {
	case f.ExecTimeout <= 0 || f.ExecGrace <= 0:
		return errors.New("--exec-timeout and --exec-grace must be more than 0")
	case f.ExecRestarts < 0:
		return errors.New("--exec-restarts must not be negative")
	case f.Exec == "":
		return nil
	}
	if err := supervisor.CheckCommand(f.Exec); err != nil {
		return fmt.Errorf("--exec: %w", err)
	}
	return nil
}

func (f *execFlags) config(log *accesslog.Log) supervisor.Config {
	config := supervisor.Config{
		Command:      f.Exec,
		StartTimeout: f.ExecTimeout,
		StopTimeout:  f.ExecGrace,
		MaxRestarts:  f.ExecRestarts,
		Logger:       log.Logger,
	}
	if f.ExecRestarts == 0 {
		config.MaxRestarts = -1
	}
	return config
}

// errEndedEarly says that a signal came before the application listened.
var errEndedEarly = errors.New("ended by a signal")

// openExec starts the command and returns it as the application when it listens.
// A signal that comes before ends it.
func openExec(flags *execFlags, upstream *upstreamFlags, signals <-chan os.Signal, log *accesslog.Log) (*target, error) {
	if _, err := upstream.tlsConfig("unix:"); err != nil {
		return nil, err
	}
	application, err := startApplication(flags.config(log), signals)
	if err != nil {
		return nil, err
	}
	target, err := openUpstream("unix:"+application.Socket(), upstream)
	if err != nil {
		application.Stop()
		return nil, err
	}
	target.description = "the command " + strings.Join(strings.Fields(flags.Exec), " ")
	target.application = application
	closeProxy := target.close
	target.close = func() error {
		defer endApplication(application, signals)
		return closeProxy()
	}
	return target, nil
}

func startApplication(config supervisor.Config, signals <-chan os.Signal) (*supervisor.Supervisor, error) {
	ctx, cancel := context.WithCancelCause(context.Background())
	var watch sync.WaitGroup
	ended := false
	watch.Go(func() {
		select {
		case <-signals:
			ended = true
			cancel(errEndedEarly)
		case <-ctx.Done():
		}
	})
	application, err := supervisor.Start(ctx, config)
	cancel(nil)
	watch.Wait()
	if err == nil && ended {
		application.Stop()
		return nil, errEndedEarly
	}
	return application, err
}

// endApplication ends it at once when there is a signal.
func endApplication(application *supervisor.Supervisor, signals <-chan os.Signal) {
	go func() {
		select {
		case <-signals:
			application.Kill()
		case <-application.Done():
		}
	}()
	application.Stop()
}
