package clients

import (
	"bytes"
	"encoding/json"
	"flag"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const (
	exampleDjango = "../../examples/django"
	installDjango = "apt-get install python3-django uvicorn python3-websockets"
)

// djangoPictures has TestDjangoInBrowser take the screenshots that READMEs show:
//
//	go test ./internal/clients -run TestDjangoInBrowser -django-pictures
var djangoPictures = flag.Bool("django-pictures", false, "write the pictures of TestDjangoInBrowser to examples/django")

// TestDjangoInBrowser has Chromium use the project of examples/django, as its run
// serves it: the admin, forms, files and a WebSocket through a gateway, and a page
// over gRPC-Web without.
func TestDjangoInBrowser(t *testing.T) {
	t.Parallel()
	const password = "from-the-environment"
	node, dir := nodePackages(t)
	chromium := need(t, "chromium", installChromium)
	culvert := buildCulvert(t)
	page := httptest.NewServer(http.FileServer(http.Dir(filepath.Join(exampleDjango, "page"))))
	t.Cleanup(page.Close)
	server := startDjango(t, culvert, []string{"DJANGO_SUPERUSER_PASSWORD=" + password}, "--cors-origin", page.URL)
	gateway := urlIn(t, startUntil(t, `"listening"`, culvert, "gateway", "--listen", "127.0.0.1:0", "--log-format", "json", server))

	content := make([]byte, 3<<20) // more than Django holds in memory
	_, _ = rand.NewChaCha8([32]byte{}).Read(content)
	work := tempDir(t)
	attachment, downloaded := filepath.Join(work, "river.bin"), filepath.Join(work, "downloaded")
	if err := os.WriteFile(attachment, content, 0o600); err != nil {
		t.Fatal(err)
	}
	arguments := map[string]string{
		"executable": chromium, "gateway": gateway, "server": server, "page": page.URL, "password": password,
		"attachment": attachment, "downloaded": downloaded,
	}
	if *djangoPictures {
		arguments["pictures"] = absolute(t, exampleDjango)
	}
	argument, err := json.Marshal(arguments)
	if err != nil {
		t.Fatal(err)
	}
	type followed struct {
		State  string
		Titles []string
	}
	type seen struct {
		First, Admin, Added, Name, Visits string
		Echoes                            []string
		Followed                          followed
	}
	output, complaints, failed := tool(t, nil, node, filepath.Join(dir, "django.js"), string(argument))
	var got seen
	if err := json.Unmarshal(output, &got); failed || err != nil {
		t.Fatalf("%v: %s", err, complaints)
	}
	got.Visits = strings.Join(strings.Fields(got.Visits), " ")
	want := seen{
		First:  "The first note",
		Admin:  "Site administration",
		Added:  "The note “From the admin” was added successfully.",
		Name:   "river.bin",
		Echoes: []string{"through the tunnel", "und zurück", "full duplex"},
		// One before the login, and then before, after, and with the reload after the upload.
		Visits:   "Django behind gRPC. Seen 4 times in this session. Admin Report",
		Followed: followed{"open, status 200", []string{"title", "The first note", "From the admin", "With a file", "Added while it was open"}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the browser saw (-want +got): %s", diff)
	}
	if again, err := os.ReadFile(downloaded); err != nil || !bytes.Equal(again, content) {
		t.Errorf("the file that was uploaded came back with %d of %d bytes, %v", len(again), len(content), err)
	}
}

// buildCulvert returns a culvert, which lasts until the end of the test.
func buildCulvert(tb testing.TB) string {
	tb.Helper()
	path := filepath.Join(tempDir(tb), "culvert")
	if _, complaints, failed := tool(tb, nil, "go", "build", "-o", path, "../../cmd/culvert"); failed {
		tb.Fatalf("build culvert: %s", complaints)
	}
	return path
}

// startDjango runs examples/django with data of its own until the end of the test,
// and returns the URL of culvert serve.
func startDjango(tb testing.TB, culvert string, environment []string, flags ...string) string {
	tb.Helper()
	python := need(tb, systemPython, installDjango)
	if _, _, failed := tool(tb, nil, python, "-c", "import django, uvicorn, websockets"); failed {
		missingProgram(tb, "Django, uvicorn or websockets", installDjango)
	}
	flags = append([]string{"--listen", "127.0.0.1:0", "--log-format", "json"}, flags...)
	command := exec.CommandContext(tb.Context(), filepath.Join(exampleDjango, "run"), flags...)
	command.Env = append(append(os.Environ(), "PYTHON="+python, "CULVERT="+culvert,
		"DJANGO_DATA="+tempDir(tb), "PYTHONDONTWRITEBYTECODE=1"), environment...)
	// It ends by itself, or uvicorn would not.
	command.Cancel = func() error { return command.Process.Signal(syscall.SIGTERM) }
	command.WaitDelay = patience
	return urlIn(tb, startCommandUntil(tb, `"listening"`, command))
}

// urlIn returns the URL that an entry of the log has.
func urlIn(tb testing.TB, line string) string {
	tb.Helper()
	var entry struct{ URL string }
	if err := json.Unmarshal([]byte(line), &entry); err != nil || entry.URL == "" {
		tb.Fatalf("%s: %v", line, err)
	}
	return entry.URL
}

func absolute(tb testing.TB, path string) string {
	tb.Helper()
	path, err := filepath.Abs(path)
	if err != nil {
		tb.Fatal(err)
	}
	return path
}
