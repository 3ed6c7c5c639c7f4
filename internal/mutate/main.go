// Command mutate takes the defences of Culvert away, one at a time, and runs the
// test of each, which has to fail. The defences are in mutations.txt. The tree is
// not changed: go test gets the changed file by an overlay.
//
//	mutate [-check] [TEXT]
//
// With TEXT it takes only defences whose line contains it. With -check it runs
// nothing, and only looks whether every change can be made and compiles, and every
// test exists.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
)

func main() {
	check := flag.Bool("check", false, "only look whether every change can be made and compiles, and every test exists")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Stdout, *check, flag.Arg(0)); err != nil {
		fmt.Fprintln(os.Stderr, "mutate:", err)
		stop()
		os.Exit(1) //nolint:gocritic // stop has run
	}
}

// run goes through the defences whose name contains text.
func run(ctx context.Context, out io.Writer, check bool, text string) error {
	root, err := repository()
	if err != nil {
		return err
	}
	all, err := readMutations(root)
	if err != nil {
		return err
	}
	compiler, err := newCompiler(root, all)
	if err != nil {
		return err
	}
	count, failed := 0, 0
	for _, one := range all {
		if !strings.Contains(one.defence, text) {
			continue
		}
		count++
		err := one.check(root)
		if err == nil {
			err = compiler.check(&one)
		}
		if err == nil && !check {
			err = one.run(ctx, root)
		}
		switch {
		case err != nil:
			failed++
			fmt.Fprintf(out, "%s\n    %s %s: %v\n", one.defence, one.pkg, one.test, err)
		case !check:
			fmt.Fprintf(out, "%s\n    %s %s fails without it\n", one.defence, one.pkg, one.test)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	fmt.Fprintf(out, "%d defences, %d of them without a test that notices\n", count, failed)
	if failed > 0 {
		return errors.New("a defence is not tested")
	}
	return nil
}
