package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// stopTimeout is how long a child process may take to end after SIGTERM. The
// runner gives 5 seconds to what it has started.
const stopTimeout = 3 * time.Second

// process is a child process.
type process struct {
	cmd   *exec.Cmd
	ended chan struct{}
	err   error // how it ended, once ended is closed
}

// startProcess starts a command, and has read, which may be nil, read from its
// pipes until they end.
func startProcess(cmd *exec.Cmd, read func()) (*process, error) {
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", cmd.Path, err)
	}
	p := &process{cmd: cmd, ended: make(chan struct{})}
	go func() {
		defer close(p.ended)
		if read != nil {
			read() // Wait closes the pipes
		}
		p.err = cmd.Wait()
	}()
	return p, nil
}

// stop ends the process with SIGTERM and waits for it. How it ended is in err.
func (p *process) stop() error {
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stop %s: %w", p.cmd.Path, err)
	}
	select {
	case <-p.ended:
		return nil
	case <-time.After(stopTimeout):
		_ = p.cmd.Process.Kill()
		<-p.ended
		return fmt.Errorf("stop %s: killed, for it did not end within %s of SIGTERM", p.cmd.Path, stopTimeout)
	}
}
