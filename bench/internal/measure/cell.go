package measure

import (
	"fmt"
	"slices"

	"github.com/culvert-http/culvert/bench/internal/app"
	"github.com/culvert-http/culvert/bench/internal/peer"
)

// A Cell is a work on a peer, by so many workers at once.
type Cell struct {
	Peer        *peer.Peer
	Work        app.Work
	Concurrency int
}

// Key names a cell.
type Key struct {
	Peer, Work  string
	Concurrency int
}

// Key returns the cell's name.
func (c Cell) Key() Key { return Key{c.Peer.Name, c.Work.Name, c.Concurrency} }

// String is the name in flags and output.
func (k Key) String() string { return fmt.Sprintf("%s/%d/%s", k.Work, k.Concurrency, k.Peer) }

const (
	mebibyte = 1 << 20 // bytes
	// BulkConcurrency is how many bodies of the sweep of sizes go at once.
	BulkConcurrency = 4
)

// Concurrencies are those of the sweep with the small exchange.
func Concurrencies() []int { return []int{1, 4, 16, 64, 256, 1024} }

// Lengths are those of the sweep of sizes, in bytes.
func Lengths() []int64 {
	return []int64{1, 64, 4 << 10, 64 << 10, mebibyte, 8 * mebibyte, 64 * mebibyte}
}

// SweptByConcurrency are the peers of the picture of concurrencies.
func SweptByConcurrency() []string {
	return []string{
		peer.Session, peer.Exchange, peer.HTTP1, peer.H2C, peer.Dskit, peer.GRPCTunnel,
		peer.Gateway, peer.ReverseProxy, peer.DskitGateway, peer.Nginx,
	}
}

// SweptByLength are the peers of the picture of sizes.
func SweptByLength() []string {
	return []string{peer.Session, peer.Exchange, peer.HTTP1, peer.H2C, peer.Dskit, peer.GRPCTunnel}
}

// Cells returns what is measured with the peers, those next to each other that
// are compared.
func Cells(peers []*peer.Peer) []Cell {
	var cells []Cell
	add := func(work app.Work, concurrency int, only ...string) {
		for _, p := range peers {
			cell := Cell{p, work, concurrency}
			if p.Can(work) && (only == nil || slices.Contains(only, p.Name)) && !slices.ContainsFunc(cells, cell.same) {
				cells = append(cells, cell)
			}
		}
	}
	for _, concurrency := range []int{1, 64} {
		add(app.Small(), concurrency)
		add(app.Download(mebibyte), concurrency)
		add(app.Upload(mebibyte), concurrency)
	}
	add(app.WebSocket(), 1)
	for _, concurrency := range Concurrencies() {
		add(app.Small(), concurrency, SweptByConcurrency()...)
	}
	for _, length := range Lengths() {
		add(app.Download(length), BulkConcurrency, SweptByLength()...)
	}
	return cells
}

func (c Cell) same(other Cell) bool { return c.Key() == other.Key() }
