package accesslog

import (
	"context"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"
)

// console is a slog.Handler for people: the time of day, the level if it is not
// the usual one, the message, and key=value for each attribute.
type console struct {
	out   *lockedWriter
	level slog.Level
	color bool
	// attrs and prefix are of WithAttrs and WithGroup.
	attrs  []slog.Attr
	prefix string
}

type lockedWriter struct {
	mu sync.Mutex
	w  io.Writer
}

func newConsole(w io.Writer, level slog.Level, color bool) *console {
	return &console{out: &lockedWriter{w: w}, level: level, color: color}
}

// Enabled implements slog.Handler.
func (c *console) Enabled(_ context.Context, level slog.Level) bool { return level >= c.level }

// Handle implements slog.Handler.
func (c *console) Handle(_ context.Context, record slog.Record) error {
	b := c.newLine(record.Time)
	if record.Level != slog.LevelInfo {
		b.paint(levelColor(record.Level), strings.ToLower(record.Level.String())+":")
	}
	b.left(escape(record.Message), 0)
	for _, attr := range c.attrs {
		b.attr("", attr)
	}
	record.Attrs(func(attr slog.Attr) bool {
		b.attr(c.prefix, attr)
		return true
	})
	return c.write(b)
}

// WithAttrs implements slog.Handler.
func (c *console) WithAttrs(attrs []slog.Attr) slog.Handler {
	with := *c
	with.attrs = slices.Clone(c.attrs)
	for _, attr := range attrs {
		attr.Key = c.prefix + attr.Key
		with.attrs = append(with.attrs, attr)
	}
	return &with
}

// WithGroup implements slog.Handler.
func (c *console) WithGroup(name string) slog.Handler {
	with := *c
	with.prefix = c.prefix + name + "."
	return &with
}

func (c *console) newLine(at time.Time) *line {
	b := &line{color: c.color}
	b.paint(dim, at.Format("15:04:05.000"))
	return b
}

func (c *console) write(b *line) error {
	c.out.mu.Lock()
	defer c.out.mu.Unlock()
	_, err := io.WriteString(c.out.w, strings.TrimRight(b.String(), " ")+"\n")
	return err
}

// line is built of pieces with a space between them. Their text is safe already.
type line struct {
	strings.Builder
	color bool
}

func (b *line) left(text string, width int)  { b.piece(text + padding(text, width)) }
func (b *line) right(text string, width int) { b.piece(padding(text, width) + text) }

func (b *line) paint(c color, text string) {
	if b.color {
		text = string(c) + text + string(reset)
	}
	b.piece(text)
}

func (b *line) attr(prefix string, attr slog.Attr) {
	value := attr.Value.Resolve()
	if value.Kind() == slog.KindGroup {
		for _, inner := range value.Group() {
			b.attr(prefix+attr.Key+".", inner)
		}
		return
	}
	b.piece(prefix + attr.Key + "=" + escape(value.String()))
}

func (b *line) piece(text string) {
	if b.Len() > 0 {
		b.WriteByte(' ')
	}
	b.WriteString(text)
}

func padding(text string, width int) string {
	return strings.Repeat(" ", max(width-utf8.RuneCountInString(text), 0))
}

// color is an SGR sequence of ECMA-48.
type color string

const (
	reset  color = "\x1b[0m"
	dim    color = "\x1b[2m"
	red    color = "\x1b[31m"
	green  color = "\x1b[32m"
	yellow color = "\x1b[33m"
	cyan   color = "\x1b[36m"
)

func levelColor(level slog.Level) color {
	switch {
	case level >= slog.LevelError:
		return red
	case level >= slog.LevelWarn:
		return yellow
	default:
		return dim
	}
}
