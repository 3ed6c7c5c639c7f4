package siege

import (
	"context"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/culvert-http/culvert"
)

// readers is how many do not read at once: many more than the credit of a session
// is enough for.
const readers = 100

// Section 20.5: clients that take nothing of what they asked for, and applications
// that read nothing of what is sent to them, hold up nobody else in their session,
// for as long as they like.
func TestWhatIsNotReadHoldsUpNobody(t *testing.T) {
	for name, strike := range map[string]func(context.Context, *front) error{
		"responses": noCredit,
		"requests":  unreadUpload,
	} {
		t.Run(name, func(t *testing.T) {
			f := startGateway(t, bounds{transport: []culvert.TransportOption{culvert.WithMethod(culvert.MethodSession)}})
			honest := newHonest(t, f)
			must(t, honest())
			raid := begin(t, &attack{strike: strike}, f, readers, 0)
			until(t, "all to be stuck", func() bool { return f.app.begun.Load() >= readers })
			for range 10 * honestRequests {
				if err := honest(); err != nil {
					t.Fatalf("another client: %v", err)
				}
			}
			getLarge(t, f)
			if cuts := raid.cuts.Load(); cuts != 0 {
				t.Errorf("%d were cut off", cuts)
			}
		})
	}
}

// unreadUpload sends more than a session holds of one exchange, to an application
// that does not read it.
func unreadUpload(ctx context.Context, f *front) error {
	p, err := dialHTTP2(ctx, f)
	if err != nil {
		return err
	}
	id, err := p.open(rawRequest{method: http.MethodPost, path: "/unread"}, false)
	for sent := 0; err == nil && sent < 1<<20; sent += 16 << 10 {
		err = p.framer.WriteData(id, false, make([]byte, 16<<10))
	}
	if err != nil {
		return p.end(err)
	}
	return p.end(p.untilEnd())
}

// getLarge gets a long response.
func getLarge(t *testing.T, f *front) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+f.addr+"/large", nil)
	must(t, err)
	transport := &http.Transport{DisableKeepAlives: true}
	resp, err := transport.RoundTrip(r)
	must(t, err)
	defer func() { _ = resp.Body.Close() }()
	if n, err := io.Copy(io.Discard, resp.Body); err != nil || n != largeBody {
		t.Errorf("%d bytes of a long response: %v", n, err)
	}
}

// until polls until a condition holds.
func until(tb testing.TB, what string, holds func() bool) {
	tb.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); !holds(); <-tick.C {
		if time.Now().After(deadline) {
			tb.Fatalf("%s: not in %s", what, patience)
		}
	}
}
