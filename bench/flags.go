package main

import (
	"flag"
	"fmt"
	"io"
	"regexp"
	"time"
)

// config is what the command line says.
type config struct {
	cells  *regexp.Regexp // nil for all
	rounds int
	time   time.Duration
	idle   int
	docs   string
	list   bool

	cpuProfile, memProfile string
}

// Amounts, and those of -quick.
const (
	fullRounds, quickRounds = 5, 1
	fullTime, quickTime     = 300 * time.Millisecond, 100 * time.Millisecond
	fullIdle, quickIdle     = 10_000, 1000
)

// parseFlags prints what is wrong, and the usage, to output.
func parseFlags(args []string, output io.Writer) (*config, error) {
	c := new(config)
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(output)
	quick := flags.Bool("quick", false, fmt.Sprintf("be done in two minutes: -rounds %d -time %s -idle %d", quickRounds, quickTime, quickIdle))
	flags.Func("run", "measure only the cells whose name, work/concurrency/peer, matches `regexp`; write no report", func(s string) (err error) {
		c.cells, err = regexp.Compile(s)
		return err
	})
	flags.BoolVar(&c.list, "list", false, "print the names of the cells, and measure nothing")
	flags.IntVar(&c.rounds, "rounds", fullRounds, "measure every cell `n` times")
	flags.DurationVar(&c.time, "time", fullTime, "measure each cell for so long in each round")
	flags.IntVar(&c.idle, "idle", fullIdle, "open `n` idle exchanges")
	flags.StringVar(&c.docs, "docs", "", "write the report and its pictures to this `folder`")
	flags.StringVar(&c.cpuProfile, "cpuprofile", "", "write a CPU profile to `file`; needs -run with a single cell")
	flags.StringVar(&c.memProfile, "memprofile", "", "write a profile of allocations to `file`; needs -run with a single cell")
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	if *quick {
		c.hurry(flags)
	}
	err := c.validate(flags.Args())
	if err != nil {
		fmt.Fprintln(output, "bench:", err)
	}
	return c, err
}

// hurry takes the amounts of -quick for flags that were not given.
func (c *config) hurry(flags *flag.FlagSet) {
	given := make(map[string]bool)
	flags.Visit(func(f *flag.Flag) { given[f.Name] = true })
	if !given["rounds"] {
		c.rounds = quickRounds
	}
	if !given["time"] {
		c.time = quickTime
	}
	if !given["idle"] {
		c.idle = quickIdle
	}
}

func (c *config) validate(rest []string) error {
	switch {
	case len(rest) > 0:
		return fmt.Errorf("unexpected argument %q", rest[0])
	case c.rounds <= 0 || c.time <= 0 || c.idle <= 0:
		return fmt.Errorf("-rounds %d, -time %s and -idle %d must be positive", c.rounds, c.time, c.idle)
	default:
		return nil
	}
}
