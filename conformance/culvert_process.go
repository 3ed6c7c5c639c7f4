package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os/exec"
)

// culvertProcess is a running culvert serve or culvert gateway.
type culvertProcess struct {
	*process
	command string
	addr    *net.TCPAddr
	// What its log has told so far; to be read once the process has ended.
	carried map[string]int // exchanges by RPC protocol and method
	faults  []error
}

// logLine is what is looked at in a line of culvert's log.
type logLine struct {
	Level    slog.Level `json:"level"`
	Message  string     `json:"msg"`
	Addr     string     `json:"addr"`
	Protocol string     `json:"protocol"`
	RPC      string     `json:"rpc"`
}

// startCulvert starts a command of culvert on a free port, and returns when it
// listens.
func startCulvert(s *subject, command string, args ...string) (*culvertProcess, error) {
	program, err := s.path("culvert")
	if err != nil {
		return nil, err
	}
	// The grace is longer than the second that net/http takes to end an HTTP/2
	// connection, and shorter than stopTimeout.
	args = append([]string{command, "--listen", "127.0.0.1:0", "--log-format", "json", "--grace", "2s"}, args...)
	cmd := exec.Command(program, args...)
	log, err := cmd.StderrPipe()
	if err != nil {
		return nil, fmt.Errorf("start culvert %s: %w", command, err)
	}
	p := &culvertProcess{command: command, carried: make(map[string]int)}
	listening := make(chan *net.TCPAddr, 1)
	if p.process, err = startProcess(cmd, func() { p.readLog(log, listening) }); err != nil {
		return nil, err
	}
	var ok bool
	if p.addr, ok = <-listening; !ok {
		return nil, errors.Join(fmt.Errorf("start culvert %s: it did not listen", command), p.stop())
	}
	return p, nil
}

// readLog reads the log to its end. It closes listening once it is clear whether
// the process listens.
func (p *culvertProcess) readLog(log io.Reader, listening chan<- *net.TCPAddr) {
	lines := bufio.NewReader(log)
	for {
		text, err := lines.ReadString('\n')
		if text != "" {
			p.readLine(text, &listening)
		}
		if err != nil {
			break
		}
	}
	if listening != nil {
		close(listening)
	}
}

func (p *culvertProcess) readLine(text string, listening *chan<- *net.TCPAddr) {
	var line logLine
	err := json.Unmarshal([]byte(text), &line)
	switch {
	case err != nil: // a panic of the runtime, a race
		p.faults = append(p.faults, fmt.Errorf("culvert %s: %q", p.command, text))
	case line.Message == "exchange":
		p.carried[line.Protocol+" "+line.RPC]++
	case line.Level >= slog.LevelWarn: // among them an exchange that had to be cut off at the end
		p.faults = append(p.faults, fmt.Errorf("culvert %s: %s", p.command, text))
	case line.Message == "listening" && *listening != nil:
		addr, err := net.ResolveTCPAddr("tcp", line.Addr)
		if err != nil {
			p.faults = append(p.faults, err)
			return
		}
		*listening <- addr
		close(*listening)
		*listening = nil
	}
}

// stop ends the process, and fails where it did not end well or where its log has
// told of a fault.
func (p *culvertProcess) stop() error {
	err := p.process.stop()
	if err == nil && p.err != nil {
		err = fmt.Errorf("culvert %s: %w", p.command, p.err)
	}
	return errors.Join(append(p.faults, err)...)
}
