package session_test

import (
	"testing"

	"google.golang.org/protobuf/proto"

	culvertv1 "github.com/culvert-http/culvert/api/culvert/v1"
)

// Who has finished an exchange sends what is ready. It is not kept for as long as
// others have more to send, and what it leaves goes to who waits in NextBatch.
func TestFinishEndsWhileOthersSend(t *testing.T) {
	const parts = 1000
	p := facingServer(t)
	p.mustSay(opening(t, 1), opening(t, 3))
	first, second := p.accepted[0], p.accepted[1]
	received := 0
	count := func(batch []byte) {
		message := &culvertv1.SessionResponse{}
		if err := proto.Unmarshal(batch, message); err != nil {
			t.Fatal(err)
		}
		for _, frame := range message.GetFrames() {
			if frame.GetExchange() == 3 {
				received++
			}
		}
	}
	sent := 0
	send := func(batch []byte) error {
		count(batch)
		if sent++; sent <= parts {
			return second.Send(openingPart(t), nil, false)
		}
		return nil
	}
	if err := first.SendLast(openingPart(t), nil); err != nil {
		t.Fatal(err)
	}
	first.Finish(culvertv1.Cause_CAUSE_CANCELED, send)
	if sent >= parts {
		t.Fatalf("the one who has finished sent %d messages", sent)
	}
	batch, err := p.of.NextBatch()
	if err != nil {
		t.Fatal(err)
	}
	count(batch)
	if received != sent {
		t.Errorf("%d parts were sent, want %d", received, sent)
	}
}
