package bound_test

import (
	"strings"
	"testing"

	"github.com/culvert-http/culvert/internal/bound"
)

// A row that lacks something would be a flag without help, or a bound that nobody
// knows what it does.
func TestRowsAreComplete(t *testing.T) {
	seen := make(map[string]bool)
	for _, row := range bound.Table() {
		t.Run(row.Name(), func(t *testing.T) {
			switch {
			case seen[row.Name()]:
				t.Error("there are two of that name")
			case row.What == "" || strings.HasSuffix(row.What, "."):
				t.Errorf("what it bounds is %q, want a sentence without its period", row.What)
			case row.Excess == "":
				t.Error("what happens over it is not said")
			case row.Optional != (row.None != ""):
				t.Error("what 0 means is said of those that can be 0, and of no others")
			case row.Default < 0 || row.Default == 0 && !row.Optional:
				t.Errorf("the default is %d", row.Default)
			}
			seen[row.Name()] = true
		})
	}
}

func TestSize(t *testing.T) {
	for text, want := range map[string]bound.Size{
		"0": 0, "65536": 64 << 10, "64KiB": 64 << 10, "3 MiB": 3 << 20, "1GiB": 1 << 30,
	} {
		var got bound.Size
		if err := got.UnmarshalText([]byte(text)); err != nil || got != want {
			t.Errorf("%q = %d, %v, want %d", text, got, err, want)
		}
		var again bound.Size
		if err := again.UnmarshalText([]byte(got.String())); err != nil || again != got {
			t.Errorf("%q, printed as %q, came back as %d, %v", text, got.String(), again, err)
		}
	}
	for _, text := range []string{"", "KiB", "2GiB", "1.5MiB", "1kB", "-1", "99999999999999999999"} {
		var got bound.Size
		if err := got.UnmarshalText([]byte(text)); (err == nil) != (text == "-1") {
			t.Errorf("%q = %d, %v", text, got, err) // what is less than 0 is for the flag to refuse
		}
	}
}
