package main

import (
	"bufio"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/culvert-http/culvert/internal/testcert"
)

// TestREADMEAccess runs the commands of README.md about who may call, but for
// addresses, and then what they have to keep out.
func TestREADMEAccess(t *testing.T) {
	t.Parallel()
	lines := readmeBlock(t, "### Who may call")
	if len(lines) != 3 {
		t.Fatalf("found %d commands, want those of token, serve and call: %q", len(lines), lines)
	}
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "hello from the application")
	}))
	defer upstream.Close()
	shell := newREADMEShell(t)
	shell.run(t, lines[0], true)
	address := shell.serve(t, strings.NewReplacer("--listen :8443", "--listen 127.0.0.1:0 --log-format text",
		"http://localhost:3000", upstream.URL).Replace(lines[1]))
	call := strings.ReplaceAll(lines[2], "localhost:8443", address)
	if out := shell.run(t, call, true); out != "hello from the application" {
		t.Errorf("%s: %q", call, out)
	}
	for name, other := range map[string]string{
		"no token":      strings.ReplaceAll(call, "--token-file laptop.token", ""),
		"no TLS":        strings.ReplaceAll(call, "https://"+address, "http://"+address),
		"another path":  strings.ReplaceAll(call, "/get", "/admin"),
		"out of a path": strings.ReplaceAll(call, "/get", "/get/%2e%2e/admin"),
		"another host":  strings.ReplaceAll(call, "app.example", "other.example"),
		"a method":      strings.ReplaceAll(call, "culvert call", "culvert call -X DELETE"),
	} {
		if out := shell.run(t, other, false); strings.Contains(out, "hello") {
			t.Errorf("%s reached the application", name)
		}
	}
}

// readmeBlock returns the commands of the first block of a section of README.md,
// each in one line.
func readmeBlock(tb testing.TB, heading string) []string {
	tb.Helper()
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		tb.Fatal(err)
	}
	_, section, ok := strings.Cut(string(text), heading+"\n")
	block := regexp.MustCompile("(?s)```sh\n(.*?)```").FindStringSubmatch(section)
	if !ok || block == nil {
		tb.Fatalf("README.md has no commands under %q", heading)
	}
	return strings.Split(strings.TrimSpace(strings.ReplaceAll(block[1], "\\\n", "")), "\n")
}

// readmeShell runs commands in a folder that has a certificate, with culvert in
// its PATH.
type readmeShell struct {
	dir string
	env []string
}

func newREADMEShell(tb testing.TB) *readmeShell {
	tb.Helper()
	s := &readmeShell{dir: tb.TempDir()}
	binary, err := os.Executable()
	if err != nil {
		tb.Fatal(err)
	}
	if err := os.Symlink(binary, filepath.Join(s.dir, "culvert")); err != nil { // see TestMain
		tb.Fatal(err)
	}
	cert, key, err := testcert.New("test", time.Now().AddDate(1, 0, 0))
	if err != nil {
		tb.Fatal(err)
	}
	for name, content := range map[string][]byte{"tls.crt": cert, "tls.key": key} {
		if err := os.WriteFile(filepath.Join(s.dir, name), content, 0o600); err != nil {
			tb.Fatal(err)
		}
	}
	s.env = append(os.Environ(), "PATH="+s.dir+string(os.PathListSeparator)+os.Getenv("PATH"))
	return s
}

func (s *readmeShell) command(tb testing.TB, line string) *exec.Cmd {
	tb.Helper()
	command := exec.CommandContext(tb.Context(), "sh", "-c", line)
	command.Dir, command.Env = s.dir, s.env
	return command
}

// run runs a command, which has to go well or not to, and returns its output.
func (s *readmeShell) run(tb testing.TB, line string, well bool) string {
	tb.Helper()
	out, err := s.command(tb, line).CombinedOutput()
	if (err == nil) != well {
		tb.Errorf("%s: %v\n%s", line, err, out)
	}
	return string(out)
}

// serve starts a server and returns its address.
func (s *readmeShell) serve(tb testing.TB, line string) string {
	tb.Helper()
	command := s.command(tb, "exec "+line)
	stderr, err := command.StderrPipe()
	if err != nil {
		tb.Fatal(err)
	}
	if err := command.Start(); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		_ = command.Process.Kill()
		_ = command.Wait()
	})
	var said strings.Builder
	for lines := bufio.NewScanner(stderr); lines.Scan(); {
		if address := addressIn(lines.Text()); address != "" {
			go func() { _, _ = io.Copy(io.Discard, stderr) }()
			return address
		}
		said.WriteString(lines.Text() + "\n")
	}
	tb.Fatalf("%s does not listen:\n%s", line, said.String())
	return ""
}
