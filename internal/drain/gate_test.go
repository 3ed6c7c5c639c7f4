package drain

import (
	"context"
	"testing"
	"time"
)

// gate is where exchanges wait in their middle until somebody has them go on.
type gate struct {
	arrivals chan chan struct{} // each brings what it waits for
	opened   chan struct{}
}

// waiting are exchanges at a gate.
type waiting []chan struct{}

func newGate() *gate {
	return &gate{arrivals: make(chan chan struct{}), opened: make(chan struct{})}
}

// pass waits at the gate, unless it is open.
func (g *gate) pass(ctx context.Context) {
	released := make(chan struct{})
	select {
	case g.arrivals <- released:
	case <-g.opened:
		return
	case <-ctx.Done():
		return
	}
	select {
	case <-released:
	case <-ctx.Done():
	}
}

// hold waits until n have come to the gate.
func (g *gate) hold(t *testing.T, n int) waiting {
	t.Helper()
	var held waiting
	enough := time.After(patience)
	for len(held) < n {
		select {
		case one := <-g.arrivals:
			held = append(held, one)
		case <-enough:
			t.Fatalf("%d exchanges are in their middle, want %d", len(held), n)
		}
	}
	return held
}

// release has those go on that wait.
func (w waiting) release() {
	for _, one := range w {
		close(one)
	}
}

// passUntil has all pass until something is done: they may have come by the server
// whose end that is, which waits for them.
func (g *gate) passUntil(done <-chan struct{}) {
	for {
		select {
		case one := <-g.arrivals:
			close(one)
		case <-done:
			return
		}
	}
}

// open has all pass from now on.
func (g *gate) open() { close(g.opened) }
