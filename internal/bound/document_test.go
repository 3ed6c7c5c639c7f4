package bound_test

import (
	"flag"
	"os"
	"testing"

	"github.com/culvert-http/culvert/internal/bound"
)

var update = flag.Bool("update", false, "write docs/bounds.md")

// The document is what the table gives: go test ./internal/bound -update
func TestDocument(t *testing.T) {
	const path = "../../docs/bounds.md"
	want := bound.Document()
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("%s is stale: go test ./internal/bound -update", path)
	}
}
