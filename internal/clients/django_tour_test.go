package clients

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/culvert-http/culvert/internal/readme"
)

// TestDjangoTour follows the README of examples/django: it runs its commands as
// they are printed, but for the ports, and compares what they print with what the
// README says.
func TestDjangoTour(t *testing.T) {
	t.Parallel()
	readme.NeedTools(t)
	steps := readme.Steps(t, filepath.Join(exampleDjango, "README.md"), "## Start", "")
	if len(steps) < 10 {
		t.Fatalf("found %d commands", len(steps))
	}
	culvert := buildCulvert(t)
	replacements := []string{
		// The same programs, built already.
		"go run ./cmd/culvert", culvert,
		"go tool -modfile=tools.mod grpcurl", "grpcurl",
		"@LICENSE", "@../../LICENSE", // from here
	}
	for _, step := range steps {
		name, arguments, _ := strings.Cut(strings.NewReplacer(replacements...).Replace(step.Command), " ")
		switch {
		case name == "sudo":
			checkPackages(t, arguments)
		case name == "./examples/django/run":
			url := startDjango(t, culvert, nil, strings.Fields(arguments)...)
			replacements = append(replacements, "localhost:8080", strings.TrimPrefix(url, "http://"))
		case name == culvert && strings.HasPrefix(arguments, "gateway"):
			flags := append(strings.Fields(arguments), "--listen", "127.0.0.1:0", "--log-format", "json")
			url := urlIn(t, startUntil(t, `"listening"`, culvert, flags...))
			replacements = append(replacements, "localhost:8081", strings.TrimPrefix(url, "http://"))
		case strings.Contains(arguments, "-m http.server"):
			// TestDjangoInBrowser opens the page.
			if !strings.Contains(arguments, "--directory examples/django/page ") {
				t.Errorf("it serves another folder: %s", step.Command)
			}
		case step.Output == "":
			t.Errorf("%s: the README does not say what it prints", step.Command)
		default:
			step.Check(t, replacements...)
		}
	}
}

// checkPackages compares what the README installs with what .ci/run does.
func checkPackages(t *testing.T, arguments string) {
	t.Helper()
	names, found := strings.CutPrefix(arguments, "apt-get install ")
	script, err := os.ReadFile("../../.ci/run")
	if err != nil || !found {
		t.Fatalf("sudo %s: %v", arguments, err)
	}
	for name := range strings.FieldsSeq(names) {
		if matched, _ := regexp.Match(fmt.Sprintf(`(?m)^  .*\b%s\b`, regexp.QuoteMeta(name)), script); !matched {
			t.Errorf(".ci/run does not install %s", name)
		}
	}
}
