package main

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// TestREADMEGo compiles the Go of README.md and runs it, but for addresses: the
// server of one block, the client of the other through it.
func TestREADMEGo(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?ms)^```go\n(.*?)^```$").FindAllStringSubmatch(string(text), -1)
	if len(blocks) != 2 {
		t.Fatalf("found %d blocks of Go, want a server and a client", len(blocks))
	}
	shell, address := newREADMEShell(t), freeAddress(t)
	shell.write(t, "get", "hello from the server")
	server := build(t, strings.ReplaceAll(blocks[0][1], "localhost:8080", address))
	client := build(t, "package main\n\nimport (\n\"log\"\n\"net/http\"\n\"os\"\n\n\"github.com/culvert-http/culvert\"\n)\n\nfunc main() {\n"+
		strings.ReplaceAll(blocks[1][1], "localhost:8080", address)+"_ = response.Write(os.Stdout)\n}\n")

	running := shell.command(t, "exec "+server)
	if err := running.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = running.Process.Kill()
		_ = running.Wait()
	})
	awaitListener(t, address)
	if out := shell.run(t, client, true); !strings.Contains(out, "200 OK") || !strings.Contains(out, "hello from the server") {
		t.Errorf("the client prints %q", out)
	}
}

// build compiles a program and returns its path.
func build(tb testing.TB, source string) string {
	tb.Helper()
	dir := tb.TempDir()
	file := filepath.Join(dir, "main.go")
	if err := os.WriteFile(file, []byte(source), 0o600); err != nil {
		tb.Fatal(err)
	}
	binary := filepath.Join(dir, "main")
	command := exec.CommandContext(tb.Context(), "go", "build", "-o", binary, file) // here, in this module
	if out, err := command.CombinedOutput(); err != nil {
		tb.Fatalf("%v\n%s\n%s", err, out, source)
	}
	return binary
}

// freeAddress returns an address that nothing listens on.
func freeAddress(tb testing.TB) string {
	tb.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}

// awaitListener waits until something listens on an address.
func awaitListener(tb testing.TB, address string) {
	tb.Helper()
	deadline := time.Now().Add(time.Minute)
	for tick := time.NewTicker(10 * time.Millisecond); ; <-tick.C {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			tick.Stop()
			_ = conn.Close()
			return
		}
		if time.Now().After(deadline) {
			tb.Fatalf("nothing listens on %s: %v", address, err)
		}
	}
}
