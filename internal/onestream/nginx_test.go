package onestream_test

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// startNginx has nginx pass HTTP/2 on to a handler, and returns how to connect.
func startNginx(t *testing.T, handler http.Handler) (dial func() net.Conn) {
	t.Helper()
	nginx, err := exec.LookPath("nginx")
	switch {
	case err == nil:
	case os.Getenv("CI") == "true":
		t.Fatal("nginx is not installed: apt-get install nginx")
	default:
		t.Skip("nginx is not installed: apt-get install nginx")
	}
	dir := t.TempDir()
	template, err := os.ReadFile("testdata/nginx.conf")
	if err != nil {
		t.Fatal(err)
	}
	conf := filepath.Join(dir, "conf")
	if err := os.WriteFile(conf, bytes.ReplaceAll(template, []byte("DIR"), []byte(dir)), 0o600); err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("unix", filepath.Join(dir, "behind"))
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: handler, Protocols: new(http.Protocols)}
	server.Protocols.SetUnencryptedHTTP2(true)
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close() })
	var output bytes.Buffer
	command := exec.Command(nginx, "-p", dir, "-c", conf)
	command.Stdout, command.Stderr = &output, &output
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = command.Process.Kill()
		_ = command.Wait()
		if t.Failed() {
			t.Logf("nginx: %s", output.String())
		}
	})
	return func() net.Conn {
		t.Helper()
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for deadline := time.Now().Add(patience); ; <-tick.C {
			conn, err := net.Dial("unix", filepath.Join(dir, "front"))
			if err == nil {
				return conn
			}
			if time.Now().After(deadline) {
				t.Fatal(err)
			}
		}
	}
}

// nginx has windows and frames of its own.
func TestThroughNginx(t *testing.T) {
	dial := startNginx(t, echo)
	large := strings.Repeat("0123456789abcdef", 1<<20/16)
	for name, pieces := range map[string][]string{
		"empty": nil,
		"small": {"a", "b"},
		"large": {large, "a", large},
	} {
		t.Run(name, func(t *testing.T) {
			want := strings.Join(pieces, "")
			response, read, err := exchange(t, dial(), newPieces(pieces...).end(), config())
			if err != nil || read != want {
				t.Fatalf("%d bytes of %d, %v", len(read), len(want), err)
			}
			if got := response.Trailer.Get("X-Bytes"); got != fmt.Sprint(len(want)) {
				t.Errorf("trailers %v", response.Trailer)
			}
		})
	}
}
