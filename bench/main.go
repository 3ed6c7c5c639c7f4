// Bench measures Culvert beside what else brings an HTTP exchange to its
// application, both ends in one process, over TCP on the loopback interface. It
// is a module of its own, so that the peers' dependencies stay out of Culvert's
// go.mod.
//
// Samples go to standard output in the format of Go's benchmarks, for benchstat;
// what is being done goes to standard error.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
)

func main() { os.Exit(start()) }

func start() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	config, err := parseFlags(os.Args[1:], os.Stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return 2
	}
	if err := run(ctx, config, os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		return 1
	}
	return 0
}
