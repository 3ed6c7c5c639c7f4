//go:build !unix

package supervisor

import (
	"errors"
	"os/exec"
)

func inGroup(*exec.Cmd) error {
	return errors.New("there are no process groups on this system")
}

func (p *process) reap() error { return p.cmd.Wait() }
func (p *process) terminate()  { p.kill() }
func (p *process) kill()       { _ = p.cmd.Process.Kill() }
