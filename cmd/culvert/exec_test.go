package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/culvert-http/culvert"
)

// application is what tests have serve start. Its arguments are what it does,
// one after the other:
//
//	say TEXT      write a line
//	exit STATUS   end
//	hang          do nothing
//	listen PATH   serve HTTP: / with the number of the process, /exit, which ends
//	              it with status 3, and /stream, which goes on until the client or the
//	              server has had enough
func application() {
	terminated := make(chan os.Signal, 1)
	signal.Notify(terminated, syscall.SIGTERM)
	for i := 1; i < len(os.Args); i++ {
		step, argument := os.Args[i], ""
		if step != "hang" {
			i++
			argument = os.Args[i]
		}
		switch step {
		case "say":
			fmt.Println(argument)
		case "exit":
			status, _ := strconv.Atoi(argument)
			os.Exit(status)
		case "hang":
			<-terminated
		case "listen":
			listenAsApplication(argument, terminated)
		}
	}
}

func listenAsApplication(path string, terminated <-chan os.Signal) {
	listener, err := net.Listen("unix", path)
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, os.Getpid()) })
	mux.HandleFunc("/exit", func(http.ResponseWriter, *http.Request) {
		fmt.Println("as was asked")
		os.Exit(3)
	})
	mux.HandleFunc("/stream", func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "begun")
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
		fmt.Println("the stream has ended")
	})
	go func() { _ = http.Serve(listener, mux) }() //nolint:gosec // nothing hostile here
	<-terminated
	fmt.Println("terminated")
	os.Exit(0)
}

// TestExecHandover has a successor with an application of its own take the port
// over, while requests come: none fails.
func TestExecHandover(t *testing.T) {
	t.Parallel()
	serve := []string{"serve", "--reuse-port", "--exec", "application listen {socket}", "--log-format", "text", "--listen"}
	first, address := startCulvert(t, append(serve, "127.0.0.1:0")...)
	transport, err := culvert.NewTransport("http://" + address)
	must(t, err)
	defer transport.Close()
	client := &http.Client{Transport: transport}
	before := getText(t, client, "http://app.example/")

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var load sync.WaitGroup
	for range 4 {
		load.Go(func() {
			for ctx.Err() == nil {
				getText(t, client, "http://app.example/")
			}
		})
	}
	startCulvert(t, append(serve, address)...)
	must(t, first.cmd.Process.Signal(syscall.SIGTERM))
	if rest, err := first.end(); err != nil || !strings.Contains(rest, "stdout=terminated") {
		t.Errorf("the first ended with %v:\n%s", err, rest)
	}
	if after := getText(t, client, "http://app.example/"); after == before {
		t.Errorf("process %s still answers", before)
	}
	cancel()
	load.Wait()
}

// TestExecEndedEarly has a signal come while the application is awaited.
func TestExecEndedEarly(t *testing.T) {
	t.Parallel()
	r := launchCulvert(t, "serve", "--listen", "127.0.0.1:0", "--exec", "application say up hang", "--log-format", "text")
	for r.lines.Scan() && !strings.Contains(r.lines.Text(), "stdout=up") {
		continue
	}
	must(t, r.cmd.Process.Signal(syscall.SIGTERM))
	if rest, err := r.end(); err != nil || !strings.HasSuffix(rest, "stopped\n") {
		t.Errorf("it ended with %v:\n%s", err, rest)
	}
}

func getText(t *testing.T, client *http.Client, url string) string {
	t.Helper()
	response, err := client.Get(url) //nolint:noctx // it ends with the transport
	if err != nil {
		t.Errorf("get: %v", err)
		return ""
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		t.Errorf("get: status %d, %v", response.StatusCode, err)
	}
	return string(text)
}

// running is a culvert that listens.
type running struct {
	cmd   *exec.Cmd
	lines *bufio.Scanner
}

// startCulvert returns it, and where it listens.
func startCulvert(t *testing.T, args ...string) (*running, string) {
	t.Helper()
	r := launchCulvert(t, args...)
	for r.lines.Scan() {
		if address, found := strings.CutPrefix(r.lines.Text(), "listening on http://"); found {
			return r, address
		}
	}
	t.Fatalf("culvert does not listen: %v", r.cmd.Wait())
	return nil, ""
}

func launchCulvert(t *testing.T, args ...string) *running {
	t.Helper()
	binary, err := exec.LookPath("culvert") // see TestMain
	must(t, err)
	cmd := exec.Command(binary, args...)
	stderr, err := cmd.StderrPipe()
	must(t, err)
	must(t, cmd.Start())
	r := &running{cmd: cmd, lines: bufio.NewScanner(stderr)}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_, _ = r.end()
	})
	return r
}

// end waits for the end, and returns what was written since it listened.
func (r *running) end() (string, error) {
	var rest strings.Builder
	for r.lines.Scan() {
		rest.WriteString(r.lines.Text() + "\n")
	}
	return rest.String(), r.cmd.Wait()
}
