package bound

import (
	"fmt"
	"strings"
)

const preface = `# Bounds

Everything is bounded unless that is turned off. Each bound has a flag, a variable of the environment and, in the
library, an option; this table is made from the one that they are made from, and is checked by a test.

Causes are those of [protocol.md](protocol.md), section 17. Where they say "at a gateway", the gateway answers its own
client so. A bound that can be 0 is marked with *.

`

// sections are the commands, as the document has them.
var sections = []struct{ command, title string }{
	{"serve", "culvert serve"},
	{"gateway", "culvert gateway"},
	{"call", "culvert call"},
}

// Document returns docs/bounds.md.
func Document() string {
	var out strings.Builder
	out.WriteString(preface)
	for i, section := range sections {
		if i > 0 {
			out.WriteString("\n")
		}
		fmt.Fprintf(&out, "## `%s`\n\n", section.title)
		out.WriteString("| flag, variable | what | default | over it | in Go |\n|---|---|---|---|---|\n")
		for _, row := range Of(section.command) {
			writeRow(&out, row)
		}
	}
	out.WriteString("\nThe test of a row is `go test ./cmd/culvert -run TestBounds/COMMAND/FLAG`.\n")
	return out.String()
}

func writeRow(out *strings.Builder, row Row) {
	optional := ""
	if row.Optional {
		optional = "*"
	}
	fallback := row.DefaultText()
	if row.Default == 0 {
		fallback = row.None
	}
	option := "–"
	if row.Option != "" {
		option = "`" + strings.TrimPrefix(row.Option, "culvert.") + "`"
	}
	fmt.Fprintf(out, "| `--%s`%s `%s` | %s | %s | %s | %s |\n",
		row.Flag, optional, row.Env(), row.What, fallback, row.Excess, option)
}
