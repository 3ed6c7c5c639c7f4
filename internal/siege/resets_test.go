package siege

import (
	"context"
	"strings"
	"testing"

	"connectrpc.com/connect"

	culvertv1 "github.com/culvert-http/culvert/api/culvert/v1"
	"github.com/culvert-http/culvert/internal/server"
)

// Section 20.8: a session whose client takes back far too much at once ends, and
// says why.
func TestSessionEndsWhereFarTooMuchIsTakenBack(t *testing.T) {
	f := startServe(t, bounds{server: server.Config{ResetRatePerPeer: 1}})
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	err := inSession(ctx, f, func(_ context.Context, stream *sessionStream) error {
		var message culvertv1.SessionRequest
		for id := uint64(1); id < 100; id += 2 {
			message.Frames = append(message.Frames,
				openFrame(id, "/busy"), &culvertv1.ClientFrame{Exchange: id, Reset_: &culvertv1.Reset{}})
		}
		must(t, stream.Send(&message))
		for {
			if _, err := stream.Receive(); err != nil {
				return err
			}
		}
	})
	if connect.CodeOf(err) != connect.CodeResourceExhausted || !strings.Contains(err.Error(), "come to nothing") {
		t.Errorf("got %v", err)
	}
}
