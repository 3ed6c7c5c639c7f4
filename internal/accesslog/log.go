// Package accesslog writes what the program logs: lines that are readable on a
// terminal, and JSON elsewhere. Nothing that a peer sent can forge a line, or
// reach a terminal as a control sequence.
package accesslog

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"

	"github.com/culvert-http/culvert"
	"golang.org/x/term"
)

// Format is how a log looks.
type Format string

// The formats.
const (
	// Auto is Text on a terminal and JSON elsewhere.
	Auto Format = "auto"
	// Text is for people: a line an entry, with columns for exchanges.
	Text Format = "text"
	// JSON is for machines: an object a line.
	JSON Format = "json"
)

// Options configure a [Log].
type Options struct {
	// Format is Auto if empty.
	Format Format
	// Level is the least level that is written. The zero value is INFO.
	Level slog.Level
	// NoExchanges leaves out the line for each exchange.
	NoExchanges bool
}

// Log is a logger, and a writer of one line an exchange. Its methods may be
// called concurrently.
type Log struct {
	*slog.Logger
	// Text says that the log is for people: the format after Auto was decided.
	Text        bool
	console     *console
	noExchanges bool
}

// New returns a log that writes each entry to w in one call. Colours are used if w
// is a terminal and the environment does not set [NO_COLOR].
//
// [NO_COLOR]: https://no-color.org
func New(w io.Writer, opts Options) *Log {
	terminal := isTerminal(w)
	log := &Log{noExchanges: opts.NoExchanges}
	log.Text = opts.Format == Text || opts.Format != JSON && terminal
	if log.Text {
		log.console = newConsole(w, opts.Level, terminal && os.Getenv("NO_COLOR") == "")
		log.Logger = slog.New(log.console)
		return log
	}
	log.Logger = slog.New(slog.NewJSONHandler(asciiWriter{w}, &slog.HandlerOptions{Level: opts.Level}))
	return log
}

func isTerminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}

// Exchange writes one line about an exchange, for culvert.WithObserver. A failure
// of the tunnel is a warning, unless it is only that the client went away.
func (l *Log) Exchange(ctx context.Context, record culvert.Record) {
	level := exchangeLevel(record.Err)
	switch {
	case l.noExchanges || !l.Enabled(ctx, level):
	case l.console != nil:
		l.console.exchange(level, record)
	default:
		l.LogAttrs(ctx, level, "exchange", exchangeAttrs(record)...)
	}
}

func exchangeLevel(err error) slog.Level {
	if err == nil || errors.Is(err, context.Canceled) {
		return slog.LevelInfo
	}
	return slog.LevelWarn
}
