package oracle

import (
	"context"
	"fmt"
	"net/http"
)

// Client makes the requests of rows, through the tunnel or beside it. It talks to
// a server of a rig whose handler is that of the row.
type Client interface {
	// Name is for reports, and unique among the clients of a run.
	Name() string
	// Route is the way that the client takes, for gaps that depend on it.
	Route() Route
	// Carries says whether the client can make the request of row in version at
	// all, and if not why.
	Carries(row *Row, version Version) (ok bool, reason string)
	// Do makes the request and reads the response to its end. It returns when ctx
	// is done, at the latest.
	Do(ctx context.Context, version Version, request Request) Outcome
}

// Raw is a Client that is the reference's: it writes the bytes of requests itself,
// to any server.
type Raw struct {
	name  string
	addr  string
	route Route
}

// NewRaw returns a client for the server at addr, in all versions of HTTP. The
// route says what is behind the server.
func NewRaw(name, addr string, route Route) *Raw { return &Raw{name: name, addr: addr, route: route} }

// Name implements Client.
func (c *Raw) Name() string { return c.name }

// Route implements Client.
func (c *Raw) Route() Route { return c.route }

// Carries implements Client.
func (c *Raw) Carries(row *Row, _ Version) (bool, string) {
	needs := row.Request.Needs()
	if method := c.route.Method; method != "" && method != "Exchange" && needs&(NeedsDuplex|NeedsUpgrade) != 0 {
		return false, "only Exchange sends while it receives"
	}
	return true, ""
}

// Do implements Client.
func (c *Raw) Do(ctx context.Context, version Version, request Request) Outcome {
	outcome := raw(ctx, c.addr, version, request)
	if outcome.Header.Get("Proxy-Status") != "" && outcome.Status >= 500 { // a gateway's own answer [RFC 9209]
		return Outcome{
			Class:         Failed,
			Informational: outcome.Informational,
			Err:           fmt.Errorf("%d: %s", outcome.Status, outcome.Header.Get("Proxy-Status")),
		}
	}
	return outcome
}

// reference is the outcome of an exchange behind net/http.
func (r *Rig) reference(ctx context.Context, version Version, request Request) Outcome {
	return raw(ctx, r.Direct, version, request)
}

func raw(ctx context.Context, addr string, version Version, request Request) Outcome {
	if version == HTTP2 {
		return http2Raw{addr}.do(ctx, request)
	}
	return http1{addr}.do(ctx, version, request)
}

// outcome runs one exchange and adds to its outcome what the handler saw.
func (r *Rig) outcome(ctx context.Context, handler http.Handler, do func() Outcome) Outcome {
	recording := r.recorder.expect(handler)
	defer r.recorder.current.Store(nil)
	outcome := do()
	seen, err := recording.seen(ctx)
	if err != nil {
		outcome.Class, outcome.Err = Failed, err
	}
	outcome.Seen = seen
	outcome.name()
	return outcome
}

// name tells what was refused from what has failed: net/http's servers answer
// 400, or not at all.
func (o *Outcome) name() {
	switch {
	case o.Seen != nil && o.Class == Refused:
		o.Class = Failed
	case o.Seen == nil && (o.Class == Failed || o.Status == http.StatusBadRequest):
		o.Class = Refused
	}
}
