package peer

import (
	"testing"

	"github.com/culvert-http/culvert/bench/internal/app"
)

// TestCheckNoticesAnotherCarrier has exchanges come by another RPC than they are
// said to.
func TestCheckNoticesAnotherCarrier(t *testing.T) {
	p := exchangePeer(Exchange, 0, "grpc")
	for _, carrier := range []app.Carrier{
		{},
		{Method: "Session", Protocol: "grpc"},
		{Method: "Exchange", Protocol: "connect"},
	} {
		p.Carrier = carrier
		path := openPeer(t, p)
		before := path.Carried()
		if err := exchangeOnce(path, app.Small()); err != nil {
			t.Fatal(err)
		}
		if path.Check(before, 1) == nil {
			t.Errorf("an Exchange on gRPC was taken for %s", carrier)
		}
	}
}

// TestCheckCounts has more, and fewer, requests than there were.
func TestCheckCounts(t *testing.T) {
	path := openPeer(t, exchangePeer(Exchange, 0, "grpc"))
	before := path.Carried()
	for range 2 {
		if err := exchangeOnce(path, app.Small()); err != nil {
			t.Fatal(err)
		}
	}
	for requests, ok := range map[int64]bool{1: false, 2: true, 3: false} {
		if err := path.Check(before, requests); (err == nil) != ok {
			t.Errorf("2 requests for %d: %v", requests, err)
		}
	}
}

func TestNamesAreUnique(t *testing.T) {
	seen := make(map[string]bool)
	for _, p := range List() {
		if seen[p.Name] || seen[p.Title] {
			t.Errorf("%s, %q: a name twice", p.Name, p.Title)
		}
		seen[p.Name], seen[p.Title] = true, true
	}
}
