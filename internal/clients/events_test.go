package clients

import (
	"bufio"
	"encoding/json"
	"flag"
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// picture is where TestEventsInBrowser puts what the page looks like:
//
//	go test ./internal/clients -run TestEventsInBrowser -picture "$PWD/docs/images/events.png"
var picture = flag.String("picture", "", "write a picture of the page of TestEventsInBrowser to this absolute path")

// TestEventsInBrowser has a page in Chromium show server-sent events that come
// from uvicorn through `culvert serve`. The application sends each when the page
// has shown the one before it and asks for more: what shows, has come by itself.
func TestEventsInBrowser(t *testing.T) {
	t.Parallel()
	const installUvicorn = "apt-get install uvicorn"
	node, dir := nodePackages(t)
	chromium := need(t, "chromium", installChromium)
	python := need(t, systemPython, installUvicorn)
	if _, _, failed := tool(t, nil, python, "-c", "import uvicorn"); failed {
		missingProgram(t, "uvicorn", installUvicorn)
	}
	out, origin := servePages(t)
	culvert := buildCulvert(t)
	socket := filepath.Join(tempDir(t), "app.sock")
	startUntil(t, "Uvicorn running on ", python, "-m", "uvicorn", "--app-dir", "testdata", "--lifespan", "off", "--uds", socket, "events:app")
	line := startUntil(t, `"listening"`, culvert, "serve", "--listen", "127.0.0.1:0", "--cors-origin", origin, "unix:"+socket)

	output, complaints, failed := tool(t, nil, node, filepath.Join(dir, "watch.js"),
		urlIn(t, line), generateES(t, dir), chromium, out, origin, *picture)
	var seen struct {
		Shown [][]string
		State string
		Types []string
	}
	if err := json.Unmarshal(output, &seen); failed || err != nil {
		t.Fatalf("%v: %s", err, complaints)
	}
	events := []string{"rain", "stream", "culvert", "river", "sea"}
	for i := range events {
		if i < len(seen.Shown) {
			if diff := cmp.Diff(events[:i+1], seen.Shown[i]); diff != "" {
				t.Errorf("after event %d (-want +got): %s", i, diff)
			}
		}
	}
	if len(seen.Shown) != len(events) || seen.State != "complete" || !slices.Contains(seen.Types, "application/grpc-web+proto") {
		t.Errorf("the page: %+v", seen)
	}
}

// startUntil starts a program and waits until it prints, on stderr, a line with
// text, which it returns. The program ends with the test.
func startUntil(tb testing.TB, text, path string, args ...string) string {
	tb.Helper()
	return startCommandUntil(tb, text, exec.CommandContext(tb.Context(), path, args...))
}

// startCommandUntil is startUntil for a command with the context of the test.
func startCommandUntil(tb testing.TB, text string, command *exec.Cmd) string {
	tb.Helper()
	stderr, err := command.StderrPipe()
	if err != nil {
		tb.Fatal(err)
	}
	if err := command.Start(); err != nil {
		tb.Fatal(err)
	}
	lines := make(chan string, 1)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		defer close(lines)
		var before strings.Builder
		for scanner := bufio.NewScanner(stderr); scanner.Scan(); before.WriteString(scanner.Text() + "\n") {
			if strings.Contains(scanner.Text(), text) {
				lines <- scanner.Text()
				_, _ = io.Copy(io.Discard, stderr)
				return
			}
		}
		tb.Logf("%s: %s", command.Path, before.String())
	}()
	tb.Cleanup(func() {
		<-ended // for the context of the test is done
		_ = command.Wait()
	})
	select {
	case line, found := <-lines:
		if found {
			return line
		}
		tb.Fatalf("%s has ended without %q", command.Path, text)
	case <-testContext(tb).Done():
		tb.Fatalf("%s did not print %q", command.Path, text)
	}
	return ""
}
