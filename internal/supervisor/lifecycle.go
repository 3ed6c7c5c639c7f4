package supervisor

import (
	"fmt"
	"runtime"
	"time"

	"github.com/cenkalti/backoff/v5"
)

// pollInterval is how often a socket is tried that nothing listens on yet.
const pollInterval = 20 * time.Millisecond

// supervise runs the application again and again, until it is stopped or has to
// be given up.
func (s *Supervisor) supervise() {
	// Linux tells a process of its parent's end when the thread ends that started
	// it: this goroutine keeps one of its own for as long as there is a process.
	runtime.LockOSThread()
	defer close(s.done)
	defer s.socket.remove()
	delays := backoff.NewExponentialBackOff()
	delays.InitialInterval, delays.MaxInterval, delays.Multiplier = s.config.MinDelay, s.config.MaxDelay, 2
	for restarts := 0; ; restarts++ {
		listened, err := s.run()
		if s.isStopping() {
			return
		}
		if listened >= s.config.Steady {
			restarts = 0
			delays.Reset()
		}
		switch {
		case !s.hasStarted():
			s.err = err
			return
		case s.config.MaxRestarts >= 0 && restarts >= s.config.MaxRestarts:
			s.err = fmt.Errorf("keep application running: given up after %d restarts in a row: %w", restarts, err)
			return
		}
		delay := delays.NextBackOff()
		s.config.Logger.Warn("the application is down", "err", err.Error(), "restart_in", delay.Round(time.Millisecond).String())
		if !s.pause(delay) {
			return
		}
	}
}

// run runs the application once. It returns for how long it has listened, and why
// it no longer does.
func (s *Supervisor) run() (listened time.Duration, err error) {
	if err := s.socket.clear(); err != nil {
		return 0, err
	}
	p, err := startProcess(s.words, s.socket.path, s.config.Logger)
	if err != nil {
		return 0, err
	}
	if err := s.awaitListening(p); err != nil {
		return 0, err
	}
	since := time.Now()
	s.announce(p)
	select {
	case <-p.ended:
	case <-s.stopping:
		s.end(p)
	}
	s.notify()
	return time.Since(since), p.failure()
}

// awaitListening waits until p listens. If it does not, p has ended when it
// returns.
func (s *Supervisor) awaitListening(p *process) error {
	late := time.NewTimer(s.config.StartTimeout)
	defer late.Stop()
	poll := time.NewTicker(pollInterval)
	defer poll.Stop()
	for !s.socket.listens() {
		select {
		case <-poll.C:
		case <-p.ended:
			if p.err == nil { // as what goes to the background does
				return fmt.Errorf("it ended before it listened on its socket, and has to stay in the foreground: %w", p.failure())
			}
			return fmt.Errorf("it ended before it listened on its socket: %w", p.failure())
		case <-late.C:
			s.end(p)
			return fmt.Errorf("nothing listens on its socket after %v; {socket} in the command, or $%s in its environment, is the path to listen on",
				s.config.StartTimeout, SocketVariable)
		case <-s.stopping:
			s.end(p)
			return errStopped
		}
	}
	return nil
}

func (s *Supervisor) announce(p *process) {
	if !s.hasStarted() {
		s.config.Logger.Debug("the application listens", "pid", p.pid())
		close(s.started)
		return
	}
	s.config.Logger.Info("the application listens again", "pid", p.pid())
	s.notify()
}

func (s *Supervisor) notify() {
	select {
	case s.changed <- struct{}{}:
	default:
	}
}

// end has p end, with all of its group.
func (s *Supervisor) end(p *process) {
	p.terminate()
	late := time.NewTimer(s.config.StopTimeout)
	defer late.Stop()
	select {
	case <-p.ended:
		return
	case <-s.killing:
	case <-late.C:
		s.config.Logger.Warn("the application does not end, and is killed", "after", s.config.StopTimeout.String())
	}
	p.kill()
	<-p.ended
}

// pause reports whether the time has passed without a stop.
func (s *Supervisor) pause(delay time.Duration) bool {
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-s.stopping:
		return false
	}
}
