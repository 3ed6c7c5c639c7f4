package clients

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/culvert-http/culvert/internal/readme"
)

// TestReadmeBrowser generates the code that README's page needs with README's own
// command, and runs the page's script in Node, which fetches as a browser does.
func TestReadmeBrowser(t *testing.T) {
	node, packages := nodePackages(t)
	need(t, "protoc", installPython)
	steps := readme.Steps(t, "../../README.md", "### A browser", "## ")
	command := steps[len(steps)-1].Command
	if !strings.HasPrefix(command, "protoc ") {
		t.Fatalf("the last command of the section is %q", command)
	}
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	script := regexp.MustCompile("(?ms)^```js\n(.*?)^```$").FindStringSubmatch(string(text))
	if script == nil {
		t.Fatal("README.md has no script")
	}
	addr := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for i := range 3 {
			fmt.Fprintf(w, "data: %s %d\n\n", r.Header.Get("Accept"), i)
			_ = http.NewResponseController(w).Flush()
		}
	}))
	dir := tempDir(t)
	for name, target := range map[string]string{"api": protos(t), "node_modules": filepath.Join(packages, "node_modules")} {
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	for name, content := range map[string]string{
		"package.json": `{"type": "module"}`,
		"page.js":      strings.ReplaceAll(script[1], "localhost:8080", addr),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	generate := "cd " + dir + " && mkdir gen && " + command
	if _, complaints, failed := tool(t, nil, "/bin/sh", "-c", generate); failed {
		t.Fatalf("%s: %s", command, complaints)
	}
	output, complaints, failed := tool(t, nil, node, filepath.Join(dir, "page.js"))
	if failed || !regexp.MustCompile(`(?s)^200\n.*text/event-stream 0\n.*event-stream 1\n.*event-stream 2\n`).Match(output) {
		t.Errorf("the page's script printed %q, and %s", output, complaints)
	}
}
