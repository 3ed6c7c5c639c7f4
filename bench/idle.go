package main

import (
	"context"
	"fmt"
	"io"
	"slices"

	"github.com/culvert-http/culvert/bench/internal/measure"
	"github.com/culvert-http/culvert/bench/internal/peer"
)

// idlePeers are those whose idle exchanges are looked at.
var idlePeers = []string{peer.Session, peer.Exchange, peer.H2C}

// idleCell is a number of idle exchanges on a peer.
type idleCell struct {
	peer      *peer.Peer
	exchanges int
}

// String is the cell's name, for -run.
func (c idleCell) String() string { return fmt.Sprintf("idle/%d/%s", c.exchanges, c.peer.Name) }

func (c *config) chooseIdle(peers []*peer.Peer) []idleCell {
	var cells []idleCell
	for _, p := range peers {
		cell := idleCell{p, c.idle}
		if slices.Contains(idlePeers, p.Name) && (c.cells == nil || c.cells.MatchString(cell.String())) {
			cells = append(cells, cell)
		}
	}
	return cells
}

// measureIdle measures once: what is there does not depend on what else runs.
func measureIdle(ctx context.Context, cells []idleCell, results *measure.Results, stdout, stderr io.Writer) error {
	for _, cell := range cells {
		fmt.Fprintf(stderr, "%d idle exchanges on %s\n", cell.exchanges, cell.peer.Name)
		idle, err := measure.MeasureIdle(ctx, cell.peer, cell.exchanges)
		if err != nil {
			return err
		}
		results.AddIdle(cell.peer.Name, idle)
		fmt.Fprintf(stdout, "Benchmark/%s %d %.0f live-B/op %.2f goroutines/op\n", cell, idle.Exchanges, idle.Bytes, idle.Goroutines)
	}
	return nil
}
