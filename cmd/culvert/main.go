// Culvert carries HTTP inside RPC: see culvert --help.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/alecthomas/kong"
)

// Exit statuses beside 0.
const (
	exitFailure = 1
	exitUsage   = 2
)

// commands is the command line. Each command is a file.
type commands struct {
	Serve   serveCommand   `cmd:"" help:"Serve an HTTP application through the tunnel."`
	Gateway gatewayCommand `cmd:"" help:"Give the tunnel to plain HTTP clients."`
	Call    callCommand    `cmd:"" help:"Make a request through the tunnel, as curl does."`
	Token   tokenCommand   `cmd:"" help:"Make tokens that let their holders in."`
	Version versionCommand `cmd:"" help:"Print the version of this program."`
}

func newCommands() *commands {
	return &commands{
		Serve:   serveCommand{boundFlags: newBoundFlags("serve")},
		Gateway: gatewayCommand{boundFlags: newBoundFlags("gateway")},
		Call:    callCommand{boundFlags: newBoundFlags("call")},
	}
}

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// run runs one command and returns its exit status. A failure is one line on
// stderr.
func run(args []string, stdout, stderr io.Writer) int {
	parser, err := kong.New(newCommands(), parserOptions(stdout, stderr)...)
	if err != nil {
		return report(stderr, err, exitFailure)
	}
	command, err := parser.Parse(args)
	if err != nil {
		return report(stderr, fmt.Errorf("%w (see %s)", err, helpCommand(command, err)), exitUsage)
	}
	err = command.Run(&streams{out: stdout, err: stderr})
	if callErr := (*callError)(nil); errors.As(err, &callErr) {
		if callErr.quiet {
			return callErr.status
		}
		return report(stderr, err, callErr.status)
	}
	if usageErr := (*usageError)(nil); errors.As(err, &usageErr) {
		return report(stderr, err, exitUsage)
	}
	if err != nil {
		return report(stderr, err, exitFailure)
	}
	return 0
}

func parserOptions(stdout, stderr io.Writer) []kong.Option {
	return []kong.Option{
		kong.Name("culvert"),
		kong.Description("Culvert carries HTTP inside RPC: any HTTP exchange over gRPC, gRPC-Web and Connect."),
		kong.Writers(stdout, stderr),
		kong.DefaultEnvars("CULVERT"),
		kong.ConfigureHelp(kong.HelpOptions{WrapUpperBound: 100}),
		kong.Vars(accessDefaults()),
		kong.Vars(upstreamDefaults()),
		kong.Vars(execDefaults()),
		kong.Vars(healthDefaults()),
	}
}

// streams are where a command writes.
type streams struct{ out, err io.Writer }

// usageError is a mistake in the command line that its parser cannot see.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

func report(stderr io.Writer, err error, status int) int {
	fmt.Fprintf(stderr, "culvert: %v\n", err)
	return status
}

// helpCommand is the command line that shows the help that err's is about.
func helpCommand(command *kong.Context, err error) string {
	if parseErr := (*kong.ParseError)(nil); errors.As(err, &parseErr) {
		command = parseErr.Context
	}
	if command != nil && command.Selected() != nil {
		return "culvert " + command.Selected().Name + " --help"
	}
	return "culvert --help"
}
