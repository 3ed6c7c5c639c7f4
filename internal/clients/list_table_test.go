package clients

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	culvertv1 "github.com/culvert-http/culvert/api/culvert/v1"
)

// table is client x exchange x method: what became of each.
type table struct {
	list     []listed
	programs []program

	mu      sync.Mutex
	results map[[3]string]string // by client, exchange and method
}

func newTable(list []listed, programs []program) *table {
	return &table{list: list, programs: programs, results: make(map[[3]string]string)}
}

// set notes a result. Without an exchange and a method it is one of the client
// as a whole.
func (t *table) set(client, exchange, method, result string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.results[[3]string{client, exchange, method}] = result
}

// result returns what is to be shown of an exchange.
func (t *table) result(program *program, exchange, method string) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if reason := program.cannot[method]; reason != "" {
		return reason
	}
	if whole := t.results[[3]string{program.name, "", ""}]; whole != "" {
		return whole
	}
	return t.results[[3]string{program.name, exchange, method}]
}

// chosen returns the clients that have begun to run: all, unless the command line
// of the test has left some out.
func (t *table) chosen() []*program {
	t.mu.Lock()
	defer t.mu.Unlock()
	var chosen []*program
	for i := range t.programs {
		if _, begun := t.results[[3]string{t.programs[i].name, "", ""}]; begun {
			chosen = append(chosen, &t.programs[i])
		}
	}
	return chosen
}

// gaps are the results that are missing without a reason. A client that is not
// installed was skipped, and has one.
func (t *table) gaps() []string {
	var gaps []string
	for _, program := range t.chosen() {
		for j := range t.list {
			for _, method := range methods {
				if t.result(program, t.list[j].Name, method) == "" {
					gaps = append(gaps, program.name+", "+t.list[j].Name+", "+method)
				}
			}
		}
	}
	return gaps
}

// String prints a row for each client and exchange, with a column for each
// method, and then a row for each client.
func (t *table) String() string {
	var text strings.Builder
	row := func(client, exchange string, cells []string) {
		fmt.Fprintf(&text, "%s | %s", pad(client, 36), pad(exchange, 32))
		for _, cell := range cells {
			fmt.Fprintf(&text, " | %s", pad(cell, 9))
		}
		text.WriteString("\n")
	}
	row("client", "exchange", methods)
	for _, program := range t.chosen() {
		for j := range t.list {
			row(program.name, t.list[j].Name, t.cells(program, t.list[j].Name))
		}
	}
	text.WriteString("\nin short:\n")
	row("client", "exchanges", methods)
	for _, program := range t.chosen() {
		row(program.name, fmt.Sprint(len(t.list)), t.summary(program))
	}
	return text.String()
}

// cells are an exchange by every method.
func (t *table) cells(program *program, exchange string) []string {
	var cells []string
	for _, method := range methods {
		cells = append(cells, t.result(program, exchange, method))
	}
	return cells
}

// summary says of every method how many exchanges went well, or why none did.
func (t *table) summary(program *program) []string {
	cells := make([]string, 0, len(methods))
	for _, method := range methods {
		var results []string
		for i := range t.list {
			results = append(results, t.result(program, t.list[i].Name, method))
		}
		well := len(results)
		results = slices.DeleteFunc(results, func(result string) bool { return result == ok })
		if well -= len(results); well == 0 {
			cells = append(cells, results[0])
		} else {
			cells = append(cells, fmt.Sprintf("%d ok", well))
		}
	}
	return cells
}

// TestTable has a gap without a reason show.
func TestTable(t *testing.T) {
	t.Parallel()
	list := []listed{{Name: "one"}, {Name: "two"}}
	table := newTable(list, []program{
		{name: "complete", cannot: overHTTP1()}, {name: "lacking"}, {name: "not installed"}, {name: "not chosen"},
	})
	for _, method := range methods {
		for _, l := range list {
			table.set("complete", l.Name, method, ok)
			if l.Name != "two" || method != "Upload" {
				table.set("lacking", l.Name, method, ok)
			}
		}
	}
	table.set("complete", "", "", "")
	table.set("lacking", "", "", "")
	table.set("not installed", "", "", missing)
	if diff := cmp.Diff([]string{"lacking, two, Upload"}, table.gaps()); diff != "" {
		t.Errorf("gaps (-want +got): %s", diff)
	}
	if text := table.String(); !strings.Contains(text, noHTTP2) || strings.Contains(text, "not chosen") {
		t.Errorf("table: %s", text)
	}
}

// TestCompare has differences of every kind show.
func TestCompare(t *testing.T) {
	t.Parallel()
	want := &culvertv1.HTTPResponse{Status: 200, Body: []byte("a"), Headers: []*culvertv1.Field{{Name: "X-A", Value: "1"}}}
	l := listed{Compare: []string{"status", "headers", "trailers", "body", "informational"}}
	for text, same := range map[string]bool{
		`{"status":200,"body":"YQ==","headers":[{"name":"x-a","value":"1"},{"name":"date","value":"now"}]}`: true,
		`{"status":200,"text":"a","headers":[{"name":"X-A","rawValue":"MQ=="}]}`:                            true,
		`{"status":201,"text":"a","headers":[{"name":"X-A","value":"1"}]}`:                                  false,
		`{"status":200,"text":"b","headers":[{"name":"X-A","value":"1"}]}`:                                  false,
		`{"status":200,"text":"a","headers":[{"name":"X-A","value":"1"},{"name":"X-A","value":"1"}]}`:       false,
		`{"status":200,"text":"a","headers":[{"name":"X-A","value":"1"}],"trailers":[{"name":"X-B"}]}`:      false,
		`{"status":200,"text":"a","headers":[{"name":"X-A","value":"1"}],"informational":[{"status":103}]}`: false,
	} {
		difference := l.compare(want, "Call", &rpcReply{Messages: []json.RawMessage{json.RawMessage(text)}})
		if (difference == "") != same {
			t.Errorf("%s: difference %q", text, difference)
		}
	}
	frames := []json.RawMessage{json.RawMessage(`{"head":{"status":200,"headers":[{"name":"X-A","value":"1"}]},"data":"YQ=="}`)}
	if l.compare(want, "Download", &rpcReply{Messages: frames}) == "" {
		t.Error("frames without an end are like a response")
	}
	if l.compare(want, "Call", &rpcReply{Code: 15}) == "" {
		t.Error("an RPC that failed is like a response")
	}
}
