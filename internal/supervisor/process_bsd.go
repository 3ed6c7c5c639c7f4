//go:build unix && !linux

package supervisor

import (
	"os/exec"
	"syscall"
)

// inGroup has cmd start a process group.
func inGroup(cmd *exec.Cmd) error {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return nil
}

// reap waits for the end of the process, and ends what it leaves behind.
func (p *process) reap() error {
	err := p.cmd.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	_ = syscall.Kill(-p.pid(), syscall.SIGKILL)
	p.reaped = true
	return err
}
