package session_test

import (
	"testing"

	"google.golang.org/protobuf/proto"

	culvertv1 "github.com/culvert-http/culvert/api/culvert/v1"
	"github.com/culvert-http/culvert/internal/session"
)

// peer is the other end of one session, played by the test, which says what it
// wants whether or not the protocol allows it.
type peer struct {
	tb testing.TB
	of *session.Session
	// accepted are the exchanges that a server has accepted.
	accepted []*session.Exchange
	// opened are those that a client has opened.
	opened []*session.Exchange
}

// facing returns the peer of a session, who has heard its hello and said nothing
// yet.
func facing(tb testing.TB, config session.Config) *peer {
	tb.Helper()
	p := &peer{tb: tb}
	if config.Server {
		if config.MaxExchanges == 0 {
			config.MaxExchanges = 100
		}
		config.Accept = func(x *session.Exchange) { p.accepted = append(p.accepted, x) }
	}
	config.MaxHeadBytes = 64 << 10
	p.of = session.New(config)
	if frames := p.hears(); len(frames) != 1 || frames[0].GetHello() == nil {
		tb.Fatalf("a session begins with %v", frames)
	}
	return p
}

// facingServer is facing a server that has the hello of its client.
func facingServer(tb testing.TB) *peer {
	tb.Helper()
	p := facing(tb, session.Config{Server: true})
	p.mustSay(hello())
	return p
}

// facingClient is facing a client that has the hello of its server.
func facingClient(tb testing.TB) *peer {
	tb.Helper()
	p := facing(tb, session.Config{})
	p.mustSay(hello())
	return p
}

func hello() *culvertv1.ServerFrame {
	return &culvertv1.ServerFrame{Hello: &culvertv1.Hello{Version: 1, Window: session.MinWindow, MaxExchanges: 1 << 20}}
}

// part is a frame that has a part of so many bytes of an exchange.
func part(tb testing.TB, id uint64, frame *culvertv1.ResponseFrame) *culvertv1.ServerFrame {
	tb.Helper()
	return &culvertv1.ServerFrame{Exchange: id, Part: frame}
}

// opening is a frame that opens an exchange. What stands for a head is none: the
// session does not know the difference.
func opening(tb testing.TB, id uint64) *culvertv1.ServerFrame {
	tb.Helper()
	return part(tb, id, &culvertv1.ResponseFrame{Head: &culvertv1.ResponseHead{Status: 200}})
}

// say delivers frames in one message. Both kinds of frame look the same on the
// wire, so that one kind does for both roles.
func (p *peer) say(frames ...*culvertv1.ServerFrame) error {
	p.tb.Helper()
	message, err := proto.Marshal(&culvertv1.SessionResponse{Frames: frames})
	if err != nil {
		p.tb.Fatal(err)
	}
	return p.of.Deliver(message)
}

func (p *peer) mustSay(frames ...*culvertv1.ServerFrame) {
	p.tb.Helper()
	if err := p.say(frames...); err != nil {
		p.tb.Fatalf("deliver: %v", err)
	}
}

// hears returns the frames that the session sends, and nothing if it has
// nothing to send.
func (p *peer) hears() []*culvertv1.ServerFrame {
	p.tb.Helper()
	batch, err := p.of.TryBatch()
	if err != nil {
		p.tb.Fatalf("next batch: %v", err)
	}
	message := &culvertv1.SessionResponse{}
	if err := proto.Unmarshal(batch, message); err != nil {
		p.tb.Fatalf("the batch is malformed: %v", err)
	}
	return message.GetFrames()
}

// openingPart is the part of opening.
func openingPart(tb testing.TB) []byte {
	tb.Helper()
	data, err := proto.Marshal(opening(tb, 1).GetPart())
	if err != nil {
		tb.Fatal(err)
	}
	return data
}

// open has a client open n exchanges.
func (p *peer) open(n int) {
	p.tb.Helper()
	for range n {
		x, err := p.of.Open(p.tb.Context(), openingPart(p.tb), nil, false)
		if err != nil {
			p.tb.Fatalf("open: %v", err)
		}
		p.opened = append(p.opened, x)
	}
}
