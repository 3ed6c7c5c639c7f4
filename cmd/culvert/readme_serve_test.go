package main

import (
	"bufio"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/culvert-http/culvert/internal/readme"
)

// TestREADMEServe runs the commands of README.md that put serve in front of an
// application, as they are printed but for addresses.
func TestREADMEServe(t *testing.T) {
	t.Parallel()
	readme.NeedTools(t)
	t.Run("Node", func(t *testing.T) {
		t.Parallel()
		readme.Need(t, "node", "https://nodejs.org")
		shell, lines := newREADMEShell(t), readmeLines(t, "### Node", 3)
		address := shell.serveBy(t, lines[1], "localhost:3000", shell.node(t, lines[0]))
		shell.prints(t, lines[2], address, `"text":"hello from Node\\n"`)
	})
	t.Run("folder", func(t *testing.T) {
		t.Parallel()
		shell, lines := newREADMEShell(t), readmeLines(t, "### A folder", 2)
		shell.write(t, "public/index.html", "hello from a folder")
		shell.prints(t, lines[1], shell.serveBy(t, lines[0]), `"text":"hello from a folder"`)
	})
	t.Run("TLS", func(t *testing.T) {
		t.Parallel()
		app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "hello from the application")
		}))
		defer app.Close()
		shell, lines := newREADMEShell(t), readmeLines(t, "### TLS", 3)
		address := shell.serveBy(t, lines[0], "http://localhost:3000", app.URL)
		shell.prints(t, lines[1], address, `"text":"hello from the application"`)
		shell.prints(t, lines[2], address, `"status": 200`)
	})
}

// TestREADMEWayBack runs the commands of README.md about clients of HTTP.
func TestREADMEWayBack(t *testing.T) {
	t.Parallel()
	readme.NeedTools(t)
	steps := readme.Steps(t, "../../README.md", "## The way back", "## ")
	if len(steps) != 4 {
		t.Fatalf("found %d commands, want those of gateway, curl and call", len(steps))
	}
	shell, server := newREADMEShell(t), serveDemo(t)
	shell.write(t, "README.md", "something to upload")
	gateway := shell.serveBy(t, steps[0].Command, "localhost:8080", server)
	shell.prints(t, steps[1].Command, gateway, `"url": "http://`+regexp.QuoteMeta(gateway)+`/get"`)
	shell.prints(t, steps[2].Command, server, `\* RPC culvert\.v1\.HTTPService/Exchange, protocol grpc`)
	shell.prints(t, steps[3].Command, server, `(?s)"method": "PUT".*;base64,c29tZXRoaW5nIHRvIHVwbG9hZA=="`)
}

// readmeLines returns the commands of the first block of a section.
func readmeLines(tb testing.TB, heading string, want int) []string {
	tb.Helper()
	lines := readmeBlock(tb, heading)
	if len(lines) != want {
		tb.Fatalf("found %d commands under %q, want %d: %q", len(lines), heading, want, lines)
	}
	return lines
}

// serveBy starts serve or gateway by a line, with replacements made in it, on a
// free port.
func (s *readmeShell) serveBy(tb testing.TB, line string, replacements ...string) string {
	tb.Helper()
	line = strings.Replace(line, " --listen :8443", "", 1)
	words := strings.SplitN(line, " ", 3) // culvert, command, rest
	return s.serve(tb, strings.NewReplacer(replacements...).
		Replace(words[0]+" "+words[1]+" --listen 127.0.0.1:0 --log-format text "+words[2]))
}

// address matches where README.md has the server, or the gateway.
var address = regexp.MustCompile(`localhost:808[01]|app\.example:8443`)

// prints runs a line, with the server at another address, whose output must match.
func (s *readmeShell) prints(tb testing.TB, line, at, want string) {
	tb.Helper()
	line = strings.Replace(address.ReplaceAllLiteralString(line, at), "curl --", "curl --no-progress-meter --", 1)
	if out := s.run(tb, line, true); !regexp.MustCompile(want).MatchString(out) {
		tb.Errorf("%s prints %q, want %s", line, out, want)
	}
}

// write makes a file in the shell's folder.
func (s *readmeShell) write(tb testing.TB, name, content string) {
	tb.Helper()
	file := filepath.Join(s.dir, name)
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		tb.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		tb.Fatal(err)
	}
}

// node starts the server of a line that calls node, on a free port, and returns
// its address.
func (s *readmeShell) node(tb testing.TB, line string) string {
	tb.Helper()
	free := strings.Replace(line, ".listen(3000)", `.listen(0, '127.0.0.1', function () { console.log(this.address().port) })`, 1)
	if free == line {
		tb.Fatalf("%s does not listen on port 3000", line)
	}
	command := s.command(tb, "exec "+free)
	stdout, err := command.StdoutPipe()
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
	port, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		tb.Fatalf("%s: %v", free, err)
	}
	return "127.0.0.1:" + strings.TrimSpace(port)
}
