package main

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/culvert-http/culvert/internal/auth"
)

// tokenCommand is about the bearer tokens of serve.
type tokenCommand struct {
	New tokenNewCommand `cmd:"" help:"Make a token that lets its holder in."`
}

// tokenNewCommand makes a token.
type tokenNewCommand struct {
	Name string `arg:"" help:"Name of the holder, for the file and the log: letters, digits and ._@-."`

	Append  string        `env:"-" help:"File of tokens that the line is appended to, and made if it is not there." placeholder:"FILE"`
	Expires time.Duration `env:"-" help:"Time after which the token lets nobody in; 0 for never." default:"0" placeholder:"DURATION"`
}

// Help is the part of the help after the first line.
func (*tokenNewCommand) Help() string {
	return `The token goes to stdout, this once: nothing keeps it. What serve needs of it, a line with its hash,
goes to the file, or to stderr. A token is 256 random bits, so that a fast hash is enough: there is
nothing to guess. To take a token back, delete its line: serve notices within seconds.

Examples:

    culvert token new laptop --append tokens >laptop.token
    culvert token new ci --expires 720h --append tokens >ci.token
    culvert serve --tokens tokens http://localhost:3000
    culvert call --token-file laptop.token http://127.0.0.1:8080 /`
}

// Run makes the token.
func (c *tokenNewCommand) Run(out *streams) error {
	if c.Expires < 0 {
		return &usageError{errors.New("--expires must not be negative")}
	}
	var expires time.Time
	if c.Expires > 0 {
		expires = time.Now().Add(c.Expires)
	}
	token, line, err := auth.NewToken(c.Name, expires)
	if err != nil {
		return &usageError{err}
	}
	if c.Append == "" {
		fmt.Fprintln(out.err, line)
	} else if err := appendLine(c.Append, line); err != nil {
		return fmt.Errorf("write --append: %w", err)
	}
	if _, err := fmt.Fprintln(out.out, token); err != nil {
		return fmt.Errorf("write token: %w", err)
	}
	return nil
}

// appendLine adds a line to a file, on a line of its own, in one write: serve may
// read the file at any time.
func appendLine(path, line string) error {
	before, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if len(before) > 0 && before[len(before)-1] != '\n' {
		line = "\n" + line
	}
	file, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = file.WriteString(line + "\n")
	return errors.Join(err, file.Close())
}
