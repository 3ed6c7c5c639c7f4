package measure

import (
	"context"
	"fmt"
	"time"
)

// Options say how much is measured.
type Options struct {
	Rounds int
	// Time is how long each cell runs in each round.
	Time time.Duration
	// Took, if not nil, is told of each sample.
	Took func(round int, key Key, sample Sample)
}

// Rounds measures all cells, and then all again, so that what the machine does
// beside strikes all of them. Cells that are compared with each other follow each
// other, and each round begins with another of them.
func Rounds(ctx context.Context, cells []Cell, options Options) (*Results, error) {
	results := NewResults(options)
	groups := group(cells)
	for round := range options.Rounds {
		for _, group := range groups {
			for i := range group {
				if err := ctx.Err(); err != nil {
					return nil, fmt.Errorf("round %d: %w", round+1, err)
				}
				cell := group[(i+round)%len(group)]
				sample, err := Measure(cell, options.Time)
				if err != nil {
					return nil, fmt.Errorf("round %d: %w", round+1, err)
				}
				results.Add(cell.Key(), sample)
				if options.Took != nil {
					options.Took(round, cell.Key(), sample)
				}
			}
		}
	}
	return results, nil
}

// group returns the cells with the same work and concurrency together, in their
// order.
func group(cells []Cell) [][]Cell {
	var groups [][]Cell
	index := make(map[Key]int)
	for _, cell := range cells {
		key := cell.Key()
		key.Peer = ""
		i, found := index[key]
		if !found {
			i = len(groups)
			index[key] = i
			groups = append(groups, nil)
		}
		groups[i] = append(groups[i], cell)
	}
	return groups
}
