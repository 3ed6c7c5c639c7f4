package main

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"connectrpc.com/connect"
	"github.com/rogpeppe/go-internal/testscript"

	culvertv1 "github.com/culvert-http/culvert/api/culvert/v1"
	"github.com/culvert-http/culvert/api/culvert/v1/culvertv1connect"
)

type servedKey struct{}

// servers are the two that a script can start.
type servers struct {
	serve, gateway served
	current        *served // that the script's commands are about
}

func newServers() *servers {
	s := &servers{serve: served{name: "serve"}, gateway: served{name: "gateway"}}
	s.current = &s.serve
	return s
}

// served is a server that a script started.
type served struct {
	name string // of the command
	cmd  *exec.Cmd
	// held is the response that hold began.
	held *connect.ServerStreamForClient[culvertv1.ResponseFrame]

	mu    sync.Mutex
	lines []string
	ended bool
	// more is closed, and replaced, when there are more lines, or no more.
	more chan struct{}
}

func servedBy(ts *testscript.TestScript) *served { return ts.Value(servedKey{}).(*servers).current }

func scriptServe(ts *testscript.TestScript, neg bool, args []string) {
	ts.Setenv("ADDR", servedBy(ts).start(ts, neg, args))
}

// scriptGateway starts a gateway, or runs one of the commands for a server on it.
func scriptGateway(ts *testscript.TestScript, neg bool, args []string) {
	all := ts.Value(servedKey{}).(*servers)
	all.current = &all.gateway
	defer func() { all.current = &all.serve }()
	if len(args) > 0 {
		if command, ok := gatewayCommands[args[0]]; ok {
			command(ts, neg, args[1:])
			return
		}
	}
	ts.Setenv("GATEWAY", servedBy(ts).start(ts, neg, args))
}

var gatewayCommands = map[string]func(*testscript.TestScript, bool, []string){
	"logged":  scriptLogged,
	"try":     scriptTry,
	"signal":  scriptSignal,
	"stopped": scriptStopped,
}

// start starts the server and returns its address.
func (s *served) start(ts *testscript.TestScript, neg bool, args []string) string {
	if neg || s.cmd != nil {
		ts.Fatalf("usage: %s ARG..., and not before the last one has stopped", s.name)
	}
	binary, err := lookPath(ts, "culvert")
	ts.Check(err)
	s.cmd = exec.Command(binary, append([]string{s.name, "--listen", "127.0.0.1:0"}, args...)...)
	s.cmd.Dir = ts.MkAbs(".")
	s.cmd.Env = append(os.Environ(), "PATH="+ts.Getenv("PATH"), "CULVERT_TRUST="+ts.Getenv("TRUST"))
	stderr, err := s.cmd.StderrPipe()
	ts.Check(err)
	ts.Check(s.cmd.Start())
	process := s.cmd.Process
	ts.Defer(func() { _ = process.Kill() })
	s.more = make(chan struct{})
	go s.copyLines(stderr)
	return s.wait(ts, "listening", addressIn)
}

func (s *served) copyLines(stderr io.Reader) {
	scanner := bufio.NewScanner(stderr)
	for scanner.Scan() {
		s.add(func() { s.lines = append(s.lines, scanner.Text()) })
	}
	s.add(func() { s.ended = true })
}

func (s *served) add(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
	close(s.more)
	s.more = make(chan struct{})
}

func (s *served) snapshot() (lines []string, ended bool, more <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lines, s.ended, s.more
}

// patience is how long a script waits for what must happen.
const patience = time.Minute

// wait waits for a line in which find finds something, and returns that.
func (s *served) wait(ts *testscript.TestScript, what string, find func(line string) string) string {
	late := time.NewTimer(patience)
	defer late.Stop()
	for {
		lines, ended, more := s.snapshot()
		for _, line := range lines {
			if found := find(line); found != "" {
				return found
			}
		}
		if ended {
			ts.Fatalf("culvert %s ended without %s:\n%s", s.name, what, strings.Join(lines, "\n"))
		}
		select {
		case <-more:
		case <-late.C:
			ts.Fatalf("culvert %s has not written %s:\n%s", s.name, what, strings.Join(lines, "\n"))
		}
	}
}

func addressIn(line string) string {
	if url, ok := strings.CutPrefix(line, "listening on "); ok {
		_, addr, _ := strings.Cut(url, "://")
		return addr
	}
	var entry struct{ Msg, Addr string }
	if json.Unmarshal([]byte(line), &entry) == nil && entry.Msg == "listening" {
		return entry.Addr
	}
	return ""
}

func scriptLogged(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 1 {
		ts.Fatalf("usage: logged RE")
	}
	re := regexp.MustCompile(args[0])
	servedBy(ts).wait(ts, args[0], func(line string) string {
		if re.MatchString(line) {
			return line
		}
		return ""
	})
}

// scriptTry runs what the text says as it stands, by a shell.
func scriptTry(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 1 {
		ts.Fatalf("usage: try N")
	}
	n, err := strconv.Atoi(args[0])
	ts.Check(err)
	var commands []string
	servedBy(ts).wait(ts, "commands", func(line string) string {
		if addressIn(line) != "" {
			commands = nil // From the start: wait looks again when there is more.
		}
		if command, ok := strings.CutPrefix(line, "  "); ok {
			commands = append(commands, command)
		}
		if len(commands) < n {
			return ""
		}
		return commands[n-1]
	})
	ts.Check(ts.Exec("sh", "-c", commands[n-1]))
}

func scriptHold(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 1 && len(args) != 2 {
		ts.Fatalf("usage: hold PATH [FILE]")
	}
	var protocols http.Protocols
	protocols.SetUnencryptedHTTP2(true)
	transport := &http.Transport{Protocols: &protocols}
	ctx, cancel := context.WithCancel(context.Background())
	ts.Defer(func() {
		cancel()
		transport.CloseIdleConnections()
	})
	client := culvertv1connect.NewHTTPServiceClient(&http.Client{Transport: transport}, "http://"+ts.Getenv("ADDR"))
	request := connect.NewRequest(&culvertv1.RequestFrame{Head: &culvertv1.RequestHead{Path: args[0]}})
	if len(args) == 2 {
		request.Header().Set("Authorization", "Bearer "+strings.TrimSpace(ts.ReadFile(args[1])))
	}
	stream, err := client.Download(ctx, request)
	ts.Check(err)
	if !stream.Receive() {
		ts.Fatalf("hold %s: %v", args[0], stream.Err())
	}
	servedBy(ts).held = stream
}

func scriptHeld(ts *testscript.TestScript, _ bool, _ []string) {
	stream := servedBy(ts).held
	for stream.Receive() {
		if stream.Msg().GetEnd() {
			ts.Fatalf("the response came to its end")
		}
	}
	if stream.Err() == nil {
		ts.Fatalf("the response was not cut off")
	}
	ts.Logf("held: %v", stream.Err())
}

func scriptSignal(ts *testscript.TestScript, _ bool, args []string) {
	signals := map[string]os.Signal{"TERM": syscall.SIGTERM, "INT": syscall.SIGINT}
	if len(args) != 1 || signals[args[0]] == nil {
		ts.Fatalf("usage: signal TERM|INT")
	}
	ts.Check(servedBy(ts).cmd.Process.Signal(signals[args[0]]))
}

func scriptStopped(ts *testscript.TestScript, _ bool, _ []string) {
	s := servedBy(ts)
	lines, ended, more := s.snapshot()
	for !ended {
		<-more
		lines, ended, more = s.snapshot()
	}
	text := strings.Join(lines, "\n") + "\n"
	ts.Check(os.WriteFile(ts.MkAbs(s.name+".log"), []byte(text), 0o600))
	if err := s.cmd.Wait(); err != nil {
		ts.Fatalf("culvert %s: %v\n%s", s.name, err, text)
	}
	s.cmd, s.lines, s.ended = nil, nil, false
}

// lookPath looks in the PATH of the script, where testscript has put culvert.
func lookPath(ts *testscript.TestScript, name string) (string, error) {
	for dir := range strings.SplitSeq(ts.Getenv("PATH"), string(os.PathListSeparator)) {
		if path, err := exec.LookPath(dir + string(os.PathSeparator) + name); err == nil {
			return path, nil
		}
	}
	return "", exec.ErrNotFound
}
