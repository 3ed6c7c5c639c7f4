package upstream

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// program finds a program, and skips the test where it is not installed: in CI,
// where everything is, it fails.
func program(t testing.TB, name, install string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err == nil {
		return path
	}
	needed(t, name, install)
	return ""
}

func needed(t testing.TB, name, install string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf("%s is not installed: %s", name, install)
	}
	t.Skipf("%s is not installed: %s", name, install)
}

// startProgram runs a server until the test ends, and returns once each target
// takes connections.
func startProgram(t testing.TB, command *exec.Cmd, targets ...string) {
	t.Helper()
	var output bytes.Buffer
	command.Stdout, command.Stderr = &output, &output
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	exited := make(chan struct{})
	go func() {
		defer close(exited)
		_ = command.Wait()
	}()
	t.Cleanup(func() {
		_ = command.Process.Kill()
		<-exited
		if t.Failed() {
			t.Logf("%s: %s", command.Path, output.String())
		}
	})
	for _, target := range targets {
		awaitReady(t, target, exited)
	}
}

func awaitReady(t testing.TB, target string, exited <-chan struct{}) {
	t.Helper()
	proxy, err := New(target, Options{})
	if err != nil {
		t.Fatal(err)
	}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); ; <-tick.C {
		err := proxy.Ready(testContext(t))
		if err == nil {
			return
		}
		select {
		case <-exited:
			t.Fatal("server has ended")
		default:
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}

// startNginx returns targets for HTTP/1.1 and h2c.
func startNginx(t testing.TB) (string, string) {
	t.Helper()
	nginx := program(t, "nginx", "apt-get install nginx")
	dir := t.TempDir()
	template, err := os.ReadFile("testdata/nginx.conf")
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{
		"conf":      strings.ReplaceAll(string(template), "DIR", dir),
		"file.txt":  strings.Repeat("0123456789", 1000),
		"large.bin": strings.Repeat("0123456789", 1<<20),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	h1, h2 := "unix:"+filepath.Join(dir, "s"), "unix+h2c:"+filepath.Join(dir, "h2")
	startProgram(t, exec.Command(nginx, "-p", dir, "-c", filepath.Join(dir, "conf")), h1, h2)
	return h1, h2
}

// startUvicorn returns a target.
func startUvicorn(t testing.TB) string {
	t.Helper()
	const python, install = "/usr/bin/python3", "apt-get install uvicorn python3-websockets"
	program(t, python, install)
	if err := exec.Command(python, "-c", "import uvicorn, websockets").Run(); err != nil {
		needed(t, "uvicorn", install)
	}
	socket := filepath.Join(t.TempDir(), "s")
	target := "unix:" + socket
	startProgram(t, exec.Command(python, "-m", "uvicorn", "--app-dir", "testdata", "--uds", socket, "app:app"), target)
	return target
}
