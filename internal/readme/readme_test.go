package readme

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestSteps(t *testing.T) {
	file := filepath.Join(t.TempDir(), "README.md")
	const text = "# It\n\n```sh\nnot this\n```\n\n## Tour\n\n```sh\none\ntwo \\\n  more\n```\n\nprints\n\n```\n2\n```\n\n" +
		"```go\nfunc f()\n```\n\n```\nof nothing\n```\n\n```sh\nthree\n```\n\n## After\n\n```sh\nnor this\n```\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	want := []Step{{Command: "one"}, {Command: "two   more", Output: "2\n"}, {Command: "three"}}
	if got := Steps(t, file, "## Tour", "## "); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	want = append(want, Step{Command: "nor this"})
	if got := Steps(t, file, "## Tour", ""); !slices.Equal(got, want) {
		t.Errorf("to the end: got %q, want %q", got, want)
	}
}

func TestPrints(t *testing.T) {
	for _, test := range []struct {
		text, out string
		want      bool
	}{
		{"", "anything", true},
		{"{\"o\":7}\n", "{ \"o\":\u00a07 }", true},
		{"{\"o\":7}\n", `{"o":8}`, false},
		{"o: 7", "o: 7\no: 8", false},
		{"Date: …\n\nbody", "Date: today\r\n\r\nbody", true},
		{"Date: …\n\nbody", "Date: today\r\n\r\nno body", true},
		{"Date: …\n\nbody", "Date: today\r\n\r\nbodies", false},
		{"a.c", "abc", false},
	} {
		if got := (Step{Output: test.text}).prints(test.out); got != test.want {
			t.Errorf("%q as %q: %t, want %t", test.out, test.text, got, test.want)
		}
	}
}
