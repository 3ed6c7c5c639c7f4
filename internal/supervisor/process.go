package supervisor

import (
	"errors"
	"fmt"
	"log/slog"
	"os/exec"
	"sync"
	"time"
)

// outputDelay is how long the output of a process is awaited that has ended: what
// it has started may keep it open.
const outputDelay = time.Second

// process is one run of the application, in a process group of its own.
type process struct {
	cmd    *exec.Cmd
	output *output

	mu     sync.Mutex
	reaped bool // its id may be another's

	// ended is closed when the process has ended, and its group has been killed. err
	// is set before.
	ended chan struct{}
	err   error
}

func startProcess(words []string, socket string, logger *slog.Logger) (*process, error) {
	out := &output{logger: logger}
	stdout, stderr := &stream{name: "stdout", out: out}, &stream{name: "stderr", out: out}
	cmd := exec.Command(words[0], words[1:]...)
	cmd.Env = append(cmd.Environ(), SocketVariable+"="+socket)
	cmd.Stdout, cmd.Stderr = stdout, stderr
	cmd.WaitDelay = outputDelay
	if err := inGroup(cmd); err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &process{cmd: cmd, output: out, ended: make(chan struct{})}
	go func() {
		defer close(p.ended)
		p.err = p.reap()
		stdout.flush()
		stderr.flush()
	}()
	return p, nil
}

func (p *process) pid() int { return p.cmd.Process.Pid }

// failure says how the process ended, and what it wrote last. It must have ended.
func (p *process) failure() error {
	how := "exit status 0"
	if p.err != nil {
		how = p.err.Error()
	}
	if last := p.output.lastLine(); last != "" {
		return fmt.Errorf("%s, after it wrote %q", how, last)
	}
	return errors.New(how)
}
