package supervisor

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// patience is how long a test waits for what must happen, never is longer than it
// does.
const (
	patience = time.Minute
	never    = time.Hour
)

// application returns the command of one that takes these steps, in words of a
// shell.
func application(t *testing.T, steps ...string) string {
	t.Helper()
	t.Setenv(roleVariable, "application")
	binary, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for i, step := range steps {
		steps[i] = "'" + step + "'"
	}
	return binary + " " + strings.Join(steps, " ")
}

// start starts an application, and fails if one is left at the end.
func start(t *testing.T, config Config) *Supervisor {
	t.Helper()
	s, err := Start(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Kill)
	return s
}

func until(t *testing.T, what string, happened func() bool) {
	t.Helper()
	for late := time.After(patience); !happened(); {
		select {
		case <-late:
			t.Fatalf("waited in vain for %s", what)
		case <-time.After(time.Millisecond):
		}
	}
}

func TestStartAndStop(t *testing.T) {
	s := start(t, Config{Command: application(t, "listen={socket}"), StopTimeout: never})
	folder, err := os.Stat(filepath.Dir(s.Socket()))
	if err != nil || folder.Mode() != os.ModeDir|0o700 {
		t.Errorf("the folder of the socket: %v, %v", folder, err)
	}
	answer, err := ask(s.Socket(), "who")
	if err != nil || !strings.HasSuffix(answer, " "+s.Socket()) {
		t.Errorf("answer %q, %v; want one with the socket in the environment", answer, err)
	}
	s.Stop()
	if err := s.Err(); err != nil {
		t.Errorf("after Stop: %v", err)
	}
	if _, err := ask(s.Socket(), "who"); err == nil {
		t.Error("it still listens")
	}
	if _, err := os.Stat(filepath.Dir(s.Socket())); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the folder of the socket is still there: %v", err)
	}
}

func TestSocketByEnvironment(t *testing.T) {
	s := start(t, Config{Command: "sh -c 'exec \"$0\" listen=$CULVERT_SOCKET' " + application(t)})
	if _, err := ask(s.Socket(), "who"); err != nil {
		t.Error(err)
	}
}

func TestRestart(t *testing.T) {
	log := &lockedBuffer{}
	s := start(t, Config{
		Command:  application(t, "listen={socket}"),
		MinDelay: time.Millisecond,
		Logger:   slog.New(slog.NewTextHandler(log, nil)),
	})
	first, err := ask(s.Socket(), "who")
	if err != nil {
		t.Fatal(err)
	}
	_, _ = ask(s.Socket(), "exit")
	var second string
	until(t, "a restart", func() bool {
		second, err = ask(s.Socket(), "who")
		return err == nil && second != ""
	})
	if first == second {
		t.Errorf("it is still %q", first)
	}
	select {
	case <-s.Changed():
	default:
		t.Error("no change was told")
	}
	until(t, "an entry of the log", func() bool { return strings.Contains(log.String(), "the application listens again") })
	if want := `exit status 3, after it wrote \"as was asked\"`; !strings.Contains(log.String(), want) {
		t.Errorf("the log does not have %s:\n%s", want, log)
	}
}

func TestGiveUp(t *testing.T) {
	s := start(t, Config{
		Command:     application(t, "listen={socket}"),
		MaxRestarts: 3,
		MinDelay:    time.Millisecond,
		Steady:      never,
	})
	for over := false; !over; {
		_, _ = ask(s.Socket(), "exit")
		select {
		case <-s.Done():
			over = true
		default:
		}
	}
	err := s.Err()
	if want := regexp.MustCompile("given up after 3 restarts in a row: .*exit status 3"); err == nil || !want.MatchString(err.Error()) {
		t.Errorf("error %v", err)
	}
	s.Stop()
}

// TestSteady has each run last long enough to count, so that there is no row.
func TestSteady(t *testing.T) {
	log := &lockedBuffer{}
	s := start(t, Config{
		Command:     application(t, "listen={socket}"),
		MaxRestarts: 1,
		MinDelay:    time.Millisecond,
		Steady:      time.Nanosecond,
		Logger:      slog.New(slog.NewTextHandler(log, nil)),
	})
	for restarts := 1; restarts <= 4; restarts++ {
		_, _ = ask(s.Socket(), "exit")
		until(t, "a restart", func() bool { return strings.Count(log.String(), "listens again") == restarts })
	}
	if err := s.Err(); err != nil {
		t.Error(err)
	}
}

func TestStartFails(t *testing.T) {
	for _, test := range []struct {
		name, command string
		timeout       time.Duration
		want          string
	}{
		{"no program", "/nowhere/at-all", never, "start application: fork/exec /nowhere/at-all: no such file"},
		{"not in PATH", "no-such-program-at-all", never, "executable file not found in $PATH"},
		{
			"ends at once", application(t, "print=starting", "stderr=no such module", "exit=7"), never,
			`it ended before it listened on its socket: exit status 7, after it wrote "no such module"`,
		},
		{"ends well", application(t, "exit=0"), never, "and has to stay in the foreground: exit status 0"},
		{
			"never listens", application(t, "hang"), 50 * time.Millisecond,
			"nothing listens on its socket after 50ms; {socket} in the command, or $CULVERT_SOCKET in its environment, is the path to listen on",
		},
		{"never listens, and does not want to end", application(t, "stubborn", "hang"), 50 * time.Millisecond, "nothing listens"},
		{"empty", " ", never, "split command: it is empty"},
		{"an empty word", "'' a", never, "split command: it is empty"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Setenv("TMPDIR", t.TempDir())
			s, err := Start(t.Context(), Config{
				Command: test.command, StartTimeout: test.timeout, StopTimeout: 50 * time.Millisecond,
				Logger: slog.New(slog.DiscardHandler),
			})
			if err == nil {
				s.Kill()
			}
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want %s", err, test.want)
			}
			if left, err := os.ReadDir(os.Getenv("TMPDIR")); err != nil || len(left) > 0 {
				t.Errorf("left behind: %v, %v", left, err)
			}
		})
	}
}

func TestStartIsCancelled(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	log := &lockedBuffer{}
	errEnough := errors.New("enough")
	go func() {
		defer cancel(errEnough)
		for !strings.Contains(log.String(), "under way") && t.Context().Err() == nil {
			runtime.Gosched()
		}
	}()
	_, err := Start(ctx, Config{
		Command: application(t, "print=under way", "hang"), StartTimeout: never, StopTimeout: never,
		Logger: slog.New(slog.NewTextHandler(log, nil)),
	})
	if !errors.Is(err, errEnough) {
		t.Errorf("error %v", err)
	}
}

func TestLongSocketPath(t *testing.T) {
	dir := filepath.Join(t.TempDir(), strings.Repeat("x", 100))
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("TMPDIR", dir)
	if _, err := Start(t.Context(), Config{Command: "true"}); err == nil || !strings.Contains(err.Error(), "set TMPDIR to a shorter path") {
		t.Errorf("error %v", err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// TestStubborn has an application that ignores SIGTERM.
func TestStubborn(t *testing.T) {
	for name, end := range map[string]struct {
		timeout time.Duration
		end     func(*Supervisor)
	}{
		"late":    {time.Millisecond, (*Supervisor).Stop},
		"at once": {never, (*Supervisor).Kill},
		"while it stops": {never, func(s *Supervisor) {
			go s.Stop()
			<-s.stopping
			s.Kill()
		}},
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t, Config{Command: application(t, "stubborn", "listen={socket}"), StopTimeout: end.timeout})
			end.end(s)
			if _, err := ask(s.Socket(), "who"); err == nil {
				t.Error("it still listens")
			}
		})
	}
}

// TestGroup has an application start another process, which is ended with it,
// whether it is stopped or ends by itself.
func TestGroup(t *testing.T) {
	other := &socket{path: filepath.Join(t.TempDir(), "other.sock")}
	for name, end := range map[string]func(*Supervisor){
		"stop": (*Supervisor).Stop,
		"end":  func(s *Supervisor) { _, _ = ask(s.Socket(), "exit") },
	} {
		t.Run(name, func(t *testing.T) {
			_ = other.clear()
			s := start(t, Config{Command: application(t, "child="+other.path, "listen={socket}"), MinDelay: never})
			if !other.listens() {
				t.Fatal("the other process does not listen")
			}
			end(s)
			until(t, "the end of the other process", func() bool { return !other.listens() })
		})
	}
}

// TestSupervisorIsKilled has an application end with the program that started it,
// where that can say nothing.
func TestSupervisorIsKilled(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux tells a process of its parent's end")
	}
	command := application(t, "listen={socket}")
	t.Setenv(roleVariable, "supervise")
	binary, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	program := exec.Command(binary, "env "+roleVariable+"=application "+command)
	out, err := program.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := program.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	at := &socket{path: strings.TrimSpace(line)}
	defer func() { _ = os.RemoveAll(filepath.Dir(at.path)) }()
	if err != nil || !at.listens() {
		t.Fatalf("%s: %v", line, err)
	}
	if err := program.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = program.Wait()
	until(t, "the end of the application", func() bool { return !at.listens() })
}

func TestOutput(t *testing.T) {
	log := &lockedBuffer{}
	s := start(t, Config{
		Command: application(t, "print=first", "long", "stderr=complaint", "listen={socket}"),
		Logger:  slog.New(slog.NewJSONHandler(log, nil)),
	})
	s.Stop()
	x := strings.Repeat("x", maxLine)
	for _, want := range []string{
		`"stdout":"first"`, `"stdout":"` + x + `"`, `"stdout":"xxxxxxxxxx"`, `"stdout":"short"`,
		`"stderr":"complaint"`, // without an end of line
	} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log does not have %.40s:\n%.2000s", want, log)
		}
	}
	if entries := strings.Count(log.String(), `"msg":"application"`); entries != 5 {
		t.Errorf("%d entries, want 5", entries)
	}
}

func TestStreamSplits(t *testing.T) {
	text := "one\ntwo\r\n\n  \nthree " + strings.Repeat("y", 3*maxLine) + "\nend"
	for _, size := range []int{1, 2, 7, maxLine - 1, maxLine, maxLine + 1, len(text)} {
		log := &lockedBuffer{}
		s := &stream{name: "stdout", out: &output{logger: slog.New(slog.NewTextHandler(log, nil))}}
		for rest := []byte(text); len(rest) > 0; {
			n, err := s.Write(rest[:min(size, len(rest))])
			if err != nil {
				t.Fatal(err)
			}
			rest = rest[n:]
		}
		s.flush()
		var lengths []string
		for _, match := range regexp.MustCompile(`stdout="?([^"\n]+)`).FindAllStringSubmatch(log.String(), -1) {
			lengths = append(lengths, strconv.Itoa(len(match[1])))
		}
		if got, want := strings.Join(lengths, " "), "3 3 8192 8192 8192 6 3"; got != want {
			t.Errorf("in pieces of %d: lines of %s, want %s", size, got, want)
		}
	}
}

func TestSplitCommand(t *testing.T) {
	t.Setenv("NAME", "a b")
	for _, test := range []struct{ command, want string }{
		{`uvicorn --uds {socket} app:app`, "uvicorn|--uds|/s s/app.sock|app:app"},
		{`node server.js "--path=unix:{socket}"`, "node|server.js|--path=unix:/s s/app.sock"},
		{`sh -c 'exec app "$CULVERT_SOCKET" | cat'`, `sh|-c|exec app "$CULVERT_SOCKET" | cat`},
		{`app "$CULVERT_SOCKET" "$NAME" \$NAME`, "app|/s s/app.sock|a b|$NAME"},
		{"app\n  --a\\ b  ''", "app|--a b|"},
		{`app *.py '*'`, "app|*.py|*"},
	} {
		words, err := splitCommand(test.command, "/s s/app.sock")
		if got := strings.Join(words, "|"); err != nil || got != test.want {
			t.Errorf("%s: %s, %v, want %s", test.command, got, err, test.want)
		}
	}
	for _, command := range []string{"a | b", "a; b", "a && b", "a > b", "a $(b)", "a `b`", "a 'b", "a &"} {
		if err := CheckCommand(command); err == nil || !strings.Contains(err.Error(), "a command that needs a shell is sh -c") {
			t.Errorf("%s: %v", command, err)
		}
	}
}

// lockedBuffer is a log that is read while it is written.
type lockedBuffer struct {
	mu     sync.Mutex
	buffer bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.String()
}
