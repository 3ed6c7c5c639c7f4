package faults

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/culvert-http/culvert"
)

// processEnv has the test binary be one end of the tunnel, to be killed.
const processEnv = "CULVERT_FAULTS_PROCESS"

// endless answers with bytes without end, or takes them, until it is stopped.
var endless = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	chunk := payload(1000)
	flush := http.NewResponseController(w)
	_ = flush.Flush()
	if r.URL.Path == "/take" {
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			panic(http.ErrAbortHandler)
		}
		return
	}
	for r.Context().Err() == nil {
		if _, err := w.Write(chunk); err != nil {
			return
		}
		_ = flush.Flush()
	}
})

func runServer() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	s := serve(endless, listener)
	fmt.Println(s.address)
	panic(<-s.served)
}

// runClient has an exchange by each way that does not end, and waits for its own.
func runClient(address string, _ []string) {
	for _, w := range duplexWays() {
		transport, err := culvert.NewTransport("http://"+address, w.options()...)
		if err != nil {
			panic(err)
		}
		body, _ := io.Pipe()
		if _, err := transport.RoundTrip(newRequest(context.Background(), "/"+w.String(), body)); err != nil {
			panic(err)
		}
	}
	fmt.Println("ready")
	select {}
}

// process is a copy of the test binary.
type process struct {
	command *exec.Cmd
	output  *bufio.Reader
	killed  bool
}

func startProcess(tb testing.TB, role string, args ...string) *process {
	tb.Helper()
	path, err := os.Executable()
	if err != nil {
		tb.Fatal(err)
	}
	command := exec.Command(path, args...)
	command.Env = append(os.Environ(), processEnv+"="+role)
	command.Stderr = os.Stderr
	output, err := command.StdoutPipe()
	if err != nil {
		tb.Fatal(err)
	}
	if err := command.Start(); err != nil {
		tb.Fatal(err)
	}
	p := &process{command: command, output: bufio.NewReader(output)}
	tb.Cleanup(p.kill)
	return p
}

func (p *process) line(tb testing.TB) string {
	tb.Helper()
	line, err := p.output.ReadString('\n')
	if err != nil {
		tb.Fatal(err)
	}
	return strings.TrimSpace(line)
}

// kill ends the process without a chance to say so.
func (p *process) kill() {
	if !p.killed {
		p.killed = true
		_ = p.command.Process.Kill()
		_ = p.command.Wait()
	}
}

func TestServerIsKilled(t *testing.T) {
	holdResources(t)
	p := startProcess(t, "server")
	address := p.line(t)
	var ends []chan error
	for _, w := range duplexWays() {
		transport := newTransport(t, address, w.options()...)
		for _, path := range []string{"/", "/take"} {
			body, stop := io.Pipe()
			t.Cleanup(func() { _ = stop.Close() })
			resp := start(t, transport, path, body)
			ended := make(chan error, 1)
			ends = append(ends, ended)
			go func() {
				_, err := io.Copy(io.Discard, resp.Body)
				ended <- checkFailure(err, true)
			}()
		}
	}
	p.kill()
	for i, ended := range ends {
		if err := await(t, "end of an exchange", ended); err != nil {
			t.Errorf("%s: %v", duplexWays()[i/2], err)
		}
	}
	// The next finds that nobody is there.
	transport := newTransport(t, address)
	resp, err := transport.RoundTrip(newRequest(t.Context(), "/", nil))
	if err == nil {
		_ = resp.Body.Close()
	}
	if err := checkFailure(err, false); err != nil {
		t.Error(err)
	}
}

func TestClientIsKilled(t *testing.T) {
	holdResources(t)
	began, ended := make(chan string, 10), make(chan error, 10)
	s := newServer(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).Flush()
		began <- r.URL.Path
		_, err := io.Copy(io.Discard, r.Body)
		if err == nil {
			ended <- fmt.Errorf("%s: a clean end of the request", r.URL.Path)
			return
		}
		<-r.Context().Done()
		ended <- nil
	}), "")
	stop := bystand(t, newServer(t, &echoApp{}, ""))
	p := startProcess(t, "client", s.address)
	for range duplexWays() {
		await(t, "handler", began)
	}
	if got := p.line(t); got != "ready" {
		t.Fatalf("the client says %q", got)
	}
	p.kill()
	for range duplexWays() {
		if err := await(t, "end of a handler", ended); err != nil {
			t.Error(err)
		}
	}
	stop()
}
