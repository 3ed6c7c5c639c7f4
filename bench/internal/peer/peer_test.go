package peer

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"sync"
	"testing"

	"github.com/culvert-http/culvert/bench/internal/app"
)

const mebibyte = 1 << 20

// works are what every peer is measured with; the length is one at which no
// chunk and no window is full.
var works = []app.Work{app.Small(), app.Download(mebibyte), app.Download(100_003), app.Upload(mebibyte), app.WebSocket()}

// TestPeers has each peer do each of its works, alone and beside others, and
// looks at what reaches the application, and how.
func TestPeers(t *testing.T) {
	for _, p := range List() {
		t.Run(p.Name, func(t *testing.T) {
			skipUnlessInstalled(t, p)
			path := openPeer(t, p)
			if err := path.Settle(); err != nil {
				t.Fatal(err)
			}
			for _, work := range works {
				if !p.Can(work) {
					continue
				}
				for _, concurrency := range []int{1, 8} {
					t.Run(fmt.Sprintf("%s/%d", work.Name, concurrency), func(t *testing.T) {
						before := path.Carried()
						together(t, concurrency, func() error { return exchangeOnce(path, work) })
						if err := path.Check(before, int64(concurrency)); err != nil {
							t.Error(err)
						}
					})
				}
			}
		})
	}
}

func skipUnlessInstalled(tb testing.TB, p *Peer) {
	tb.Helper()
	switch {
	case p.Installed():
	case os.Getenv("CI") == "true":
		tb.Fatalf("%s is not installed: %s", p.Needs, p.Install)
	default:
		tb.Skipf("%s is not installed: %s", p.Needs, p.Install)
	}
}

func openPeer(tb testing.TB, p *Peer) *Path {
	tb.Helper()
	application := app.New()
	return openPeerTo(tb, p, application, application)
}

func openPeerTo(tb testing.TB, p *Peer, handler http.Handler, application *app.App) *Path {
	tb.Helper()
	path, err := p.openTo(handler, application)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := path.Close(); err != nil {
			tb.Error(err)
		}
	})
	return path
}

func exchangeOnce(path *Path, work app.Work) error {
	worker, err := path.Worker(work)
	if err != nil {
		return err
	}
	return errors.Join(worker.Exchange(), worker.Close())
}

func together(tb testing.TB, n int, f func() error) {
	tb.Helper()
	errs := make([]error, n)
	var running sync.WaitGroup
	for i := range n {
		running.Go(func() { errs[i] = f() })
	}
	running.Wait()
	if err := errors.Join(errs...); err != nil {
		tb.Error(err)
	}
}
