package report

import (
	"strings"
	"unicode/utf8"
)

// table is a table of Markdown. All columns but the first few are for numbers.
type table struct {
	header []string
	words  int // columns of text, from the left
	rows   [][]string
}

func (t *table) add(cells ...string) { t.rows = append(t.rows, cells) }

// String prints the table with its columns aligned, which is for those who read
// it as text.
func (t *table) String() string {
	widths := make([]int, len(t.header))
	for _, row := range append([][]string{t.header}, t.rows...) {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell), 3)
		}
	}
	var b strings.Builder
	t.line(&b, t.header, widths)
	b.WriteByte('|')
	for i, width := range widths {
		if i < t.words {
			b.WriteString(strings.Repeat("-", width+2) + "|")
		} else {
			b.WriteString(strings.Repeat("-", width+1) + ":|")
		}
	}
	b.WriteByte('\n')
	for _, row := range t.rows {
		t.line(&b, row, widths)
	}
	return b.String()
}

func (t *table) line(b *strings.Builder, cells []string, widths []int) {
	b.WriteByte('|')
	for i, cell := range cells {
		padding := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
		if i < t.words {
			b.WriteString(" " + cell + padding + " |")
		} else {
			b.WriteString(" " + padding + cell + " |")
		}
	}
	b.WriteByte('\n')
}
