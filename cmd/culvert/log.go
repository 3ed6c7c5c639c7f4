package main

import (
	"io"
	"log/slog"

	"github.com/culvert-http/culvert/internal/accesslog"
)

// logFlags are the same for every command that keeps running.
type logFlags struct {
	LogFormat string     `default:"auto" enum:"auto,text,json" help:"Format of the log on stderr: text, json, or auto for text on a terminal and json elsewhere." group:"Log"`
	LogLevel  slog.Level `default:"info" help:"Least level of what is logged: debug, info, warn or error." group:"Log"`
	AccessLog bool       `default:"true" negatable:"" help:"Log a line for each exchange." group:"Log"`
}

func (f *logFlags) newLog(w io.Writer) *accesslog.Log {
	return accesslog.New(w, accesslog.Options{
		Format:      accesslog.Format(f.LogFormat),
		Level:       f.LogLevel,
		NoExchanges: !f.AccessLog,
	})
}
