package clients

import (
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// readmeRow is a client on one protocol, as README's table of clients names it. A
// row of the table can be several.
type readmeRow struct{ client, protocol, version string }

func (r readmeRow) String() string {
	return strings.TrimSuffix(r.client+" | "+r.protocol+", "+r.version, ", ")
}

// readmeRows says in which row of the table a client of the list is.
var readmeRows = map[string]readmeRow{
	"curl, Connect over HTTP/2":            {"curl", "Connect in JSON", "HTTP/2"},
	"curl, Connect over HTTP/1.1":          {"curl", "Connect in JSON", "HTTP/1.1"},
	"grpcurl":                              {"grpcurl", "gRPC", ""},
	"buf curl, grpc":                       {"buf curl", "gRPC", ""},
	"buf curl, grpcweb over HTTP/1.1":      {"buf curl", "gRPC-Web", "HTTP/1.1"},
	"buf curl, connect over HTTP/1.1":      {"buf curl", "Connect", "HTTP/1.1"},
	"grpc-go":                              {"grpc-go", "gRPC", ""},
	"connect-go, grpc":                     {"connect-go", "gRPC", "HTTP/2"},
	"connect-go, grpc json":                {"connect-go", "gRPC", "HTTP/2"},
	"connect-go, grpc-web":                 {"connect-go", "gRPC-Web", "HTTP/2"},
	"connect-go, connect":                  {"connect-go", "Connect", "HTTP/2"},
	"connect-go, connect json":             {"connect-go", "Connect", "HTTP/2"},
	"connect-node, grpc over HTTP/2":       {"@connectrpc/connect-node", "gRPC", "HTTP/2"},
	"connect-node, grpc-web over HTTP/2":   {"@connectrpc/connect-node", "gRPC-Web", "HTTP/2"},
	"connect-node, connect over HTTP/2":    {"@connectrpc/connect-node", "Connect", "HTTP/2"},
	"connect-node, grpc-web over HTTP/1.1": {"@connectrpc/connect-node", "gRPC-Web", "HTTP/1.1"},
	"connect-node, connect over HTTP/1.1":  {"@connectrpc/connect-node", "Connect", "HTTP/1.1"},
	"@grpc/grpc-js":                        {"@grpc/grpc-js", "gRPC", ""},
	"python3-grpcio":                       {"grpcio (Python)", "gRPC", ""},
	"connect-web, grpc-web, in Chromium":   {"@connectrpc/connect-web in Chromium", "gRPC-Web", ""},
	"connect-web, connect, in Chromium":    {"@connectrpc/connect-web in Chromium", "Connect", ""},
	"grpc-web (npm), text, in Chromium":    {"grpc-web (npm) in Chromium", "gRPC-Web in text mode", ""},
}

// TestReadme has README's table of clients say what TestList proves: for each of
// its clients, on which methods it carries the whole list, and why not on others.
func TestReadme(t *testing.T) {
	t.Parallel()
	want := make(map[readmeRow][]string)
	for _, program := range allPrograms() {
		row, ok := readmeRows[program.name]
		if !ok {
			t.Errorf("%s has no row in readmeRows", program.name)
			continue
		}
		cells := readmeCells(&program)
		if before, ok := want[row]; ok && !slices.Equal(before, cells) {
			t.Errorf("%s: %q and %q are in one row", row, before, cells)
		}
		want[row] = cells
	}
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, fault := range compareReadme(string(text), want) {
		t.Error(fault)
	}
}

// readmeCells are what a row of the table says of each method.
func readmeCells(p *program) []string {
	var cells []string
	for _, method := range methods {
		switch p.cannot[method] {
		case "":
			cells = append(cells, "yes")
		case noHTTP2:
			cells = append(cells, "HTTP/1.1 cannot")
		case noStreaming:
			cells = append(cells, "browsers cannot")
		default:
			cells = append(cells, p.cannot[method])
		}
	}
	return cells
}

// compareReadme returns what is wrong with the table in a README.
func compareReadme(text string, want map[readmeRow][]string) []string {
	var faults []string
	got, faults := parseReadme(text)
	for row, cells := range want {
		if found, ok := got[row]; !ok {
			faults = append(faults, "no row for "+row.String())
		} else if !slices.Equal(found, cells) {
			faults = append(faults, row.String()+": "+strings.Join(found, " | ")+", want "+strings.Join(cells, " | "))
		}
	}
	for row := range got {
		if _, ok := want[row]; !ok {
			faults = append(faults, "nothing proves the row for "+row.String())
		}
	}
	slices.Sort(faults)
	return faults
}

// parseReadme reads the table. A cell of protocols names some, and the version of
// HTTP; an empty client is the one above.
func parseReadme(text string) (rows map[readmeRow][]string, faults []string) {
	_, rest, _ := strings.Cut(text, "\n| client | protocol | `"+strings.Join(methods, "` | `")+"` |\n|---|---|---|---|---|---|\n")
	rows = make(map[readmeRow][]string)
	client := ""
	for line := range strings.Lines(rest) {
		inner, ok := strings.CutPrefix(line, "| ")
		if !ok {
			break
		}
		cells := strings.Split(strings.TrimSuffix(inner, " |\n"), " | ")
		if name, ok := strings.CutPrefix(inner, "| "); ok {
			cells = append([]string{client}, strings.Split(strings.TrimSuffix(name, " |\n"), " | ")...)
		}
		if len(cells) != 2+len(methods) {
			faults = append(faults, "not a row: "+line)
			continue
		}
		client = cells[0]
		protocols, version := strings.Split(cells[1], ", "), ""
		if last := len(protocols) - 1; strings.HasPrefix(protocols[last], "HTTP/") {
			protocols, version = protocols[:last], protocols[last]
		}
		for _, protocol := range protocols {
			rows[readmeRow{client, protocol, version}] = cells[2:]
		}
	}
	return rows, faults
}

// TestCompareReadme has faults of every kind show.
func TestCompareReadme(t *testing.T) {
	t.Parallel()
	const table = "a\n\n| client | protocol | `Call` | `Upload` | `Download` | `Exchange` |\n|---|---|---|---|---|---|\n" +
		"| one | A, B, HTTP/2 | yes | yes | yes | yes |\n| | A, HTTP/1.1 | yes | yes | yes | no |\n| two | C | yes | yes | yes | yes |\n\n| x |\n"
	yes := []string{"yes", "yes", "yes", "yes"}
	right := map[readmeRow][]string{
		{"one", "A", "HTTP/2"}: yes, {"one", "B", "HTTP/2"}: yes, {"two", "C", ""}: yes,
		{"one", "A", "HTTP/1.1"}: {"yes", "yes", "yes", "no"},
	}
	wrong := maps.Clone(right)
	wrong[readmeRow{"one", "A", "HTTP/1.1"}] = yes
	delete(wrong, readmeRow{"two", "C", ""})
	wrong[readmeRow{"three", "C", ""}] = yes
	for _, test := range []struct {
		text string
		want map[readmeRow][]string
		is   []string
	}{
		{table, right, nil},
		{table, wrong, []string{
			"no row for three | C",
			"nothing proves the row for two | C",
			"one | A, HTTP/1.1: yes | yes | yes | no, want yes | yes | yes | yes",
		}},
		{"no table", map[readmeRow][]string{{"two", "C", ""}: yes}, []string{"no row for two | C"}},
		{strings.Replace(table, "| two | C | yes | yes | yes | yes |", "| two | C | yes |", 1), right, []string{"no row for two | C", "not a row: | two | C | yes |\n"}},
	} {
		if diff := cmp.Diff(test.is, compareReadme(test.text, test.want)); diff != "" {
			t.Errorf("faults (-want +got):\n%s", diff)
		}
	}
}
