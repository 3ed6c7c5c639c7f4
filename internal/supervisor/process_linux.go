package supervisor

import (
	"errors"
	"os/exec"
	"syscall"

	"golang.org/x/sys/unix"
)

// inGroup has cmd start a process group, and end when this program does, however
// that comes about.
func inGroup(cmd *exec.Cmd) error {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	return nil
}

// reap waits for the end of the process, and ends what it leaves behind. Until it
// is reaped its id, which is the group's, cannot become another's.
func (p *process) reap() error {
	for {
		err := unix.Waitid(unix.P_PID, p.pid(), nil, unix.WEXITED|unix.WNOWAIT, nil)
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	p.mu.Lock()
	_ = syscall.Kill(-p.pid(), syscall.SIGKILL)
	p.reaped = true
	p.mu.Unlock()
	return p.cmd.Wait()
}
