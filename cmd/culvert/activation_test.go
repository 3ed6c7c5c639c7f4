package main

import (
	"bufio"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// TestSocketOfSystemd has culvert serve listen on a socket that was opened for it,
// which it knows from its environment.
func TestSocketOfSystemd(t *testing.T) {
	t.Parallel()
	shell, err := exec.LookPath("sh")
	if err != nil {
		t.Skip("there is no sh")
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	file, err := listener.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	binary, err := exec.LookPath("culvert") // see TestMain
	if err != nil {
		t.Fatal(err)
	}
	command := exec.CommandContext(t.Context(), shell, "-c", `LISTEN_PID=$$ LISTEN_FDS=1 exec "$0" serve --log-format text`, binary)
	command.ExtraFiles = []*os.File{file}
	stderr, err := command.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(stderr)
	for lines.Scan() {
		if strings.Contains(lines.Text(), "listening on http://"+listener.Addr().String()) {
			break
		}
	}
	resp, err := http.Get("http://" + listener.Addr().String() + "/livez") //nolint:noctx // what is tested is there
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Errorf("status %d", resp.StatusCode)
	}
	http.DefaultClient.CloseIdleConnections()
	_ = command.Process.Signal(os.Interrupt)
	for lines.Scan() { // until it has closed it
		continue
	}
	if err := command.Wait(); err != nil {
		t.Errorf("culvert ended: %v", err)
	}
}
