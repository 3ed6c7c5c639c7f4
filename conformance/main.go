// Conformance runs the suites of connectrpc.com/conformance through the tunnel.
// It is a module of its own, so that what the suites depend on stays out of
// Culvert's go.mod.
//
// The suites' runner starts this program again as the server, or the client, that
// it tests. What that is in truth is the runner's own reference, with the tunnel
// between it and the runner: whatever the runner finds wrong is the tunnel's
// fault.
//
//	runner's clients ─ culvert gateway ══ culvert serve ─ reference server    (server mode)
//	reference client ─ culvert gateway ══ culvert serve ─ runner's servers    (client mode)
package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/alecthomas/kong"
)

// commands is the command line.
type commands struct {
	Run     runCommand     `cmd:"" help:"Run the suites through the tunnel, and fail where it shows."`
	Control controlCommand `cmd:"" help:"Run them through httputil.ReverseProxy, and tell what fails."`
	Server  serverCommand  `cmd:"" hidden:"" help:"Be the server under test; the runner starts it."`
	Client  clientCommand  `cmd:"" hidden:"" help:"Be the client under test; the runner starts it."`
}

// programs are the programs that are needed, in one folder.
type programs struct {
	Bin string `help:"Folder with culvert, connectconformance, referenceserver and referenceclient. The default is this program's own." placeholder:"DIR"`
}

func (p *programs) path(name string) (string, error) {
	folder := p.Bin
	if folder == "" {
		self, err := os.Executable()
		if err != nil {
			return "", fmt.Errorf("find %s: %w", name, err)
		}
		folder = filepath.Dir(self)
	}
	return filepath.Join(folder, name), nil
}

func main() {
	command := kong.Parse(new(commands), kong.UsageOnError())
	if err := command.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "conformance:", err)
		os.Exit(1)
	}
}
