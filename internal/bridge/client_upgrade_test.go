package bridge

import (
	"context"
	"io"
	"testing"

	culvertv1 "github.com/culvert-http/culvert/api/culvert/v1"
)

// reusing is the stream of a server that has switched protocols. What Receive gives
// out is overwritten by the next call, as ClientStream says.
type reusing struct {
	frames      []*culvertv1.ResponseFrame
	memory      [8]byte
	interrupted chan struct{}
}

func (s *reusing) Receive(frame *culvertv1.ResponseFrame) error {
	if len(s.frames) == 0 {
		return io.EOF
	}
	next := s.frames[0]
	s.frames = s.frames[1:]
	frame.Head, frame.End = next.GetHead(), next.GetEnd()
	frame.Data = s.memory[:copy(s.memory[:], next.GetData())]
	return nil
}

func (*reusing) Send(*culvertv1.RequestFrame) error { return nil }
func (*reusing) CloseSend() error                   { return nil }

func (s *reusing) Interrupt() {
	select {
	case s.interrupted <- struct{}{}:
	default:
	}
}

// What was not read before Close is gone: its memory is used for what comes still,
// and where streams share memory for that of another exchange.
func TestClosedUpgradeGivesNothingOut(t *testing.T) {
	stream := &reusing{interrupted: make(chan struct{}, 1), frames: []*culvertv1.ResponseFrame{
		{Head: &culvertv1.ResponseHead{Status: 101, Upgrade: "websocket"}, Data: []byte("mine")},
		{Data: []byte("theirs")},
	}}
	req := newRequest(t, "GET", "http://a.test/", nil)
	req.Header.Set("Connection", "Upgrade")
	req.Header.Set("Upgrade", "websocket")
	request, err := NewClientRequest(req)
	if err != nil {
		t.Fatal(err)
	}
	client := &Client{Limits: Limits{HeadBytes: 1 << 10, Fields: 10}, Tries: 1}
	resp, err := client.RoundTrip(request, Carrier{Duplex: true, Open: func(context.Context) ClientStream { return stream }})
	if err != nil {
		t.Fatal(err)
	}
	conn := resp.Body
	var first [1]byte
	if n, err := conn.Read(first[:]); n != 1 || err != nil || first[0] != 'm' {
		t.Fatalf("read %q, %v", first[:n], err)
	}
	if err := conn.Close(); err != nil {
		t.Fatal(err)
	}
	<-stream.interrupted // all that comes was thrown away
	var rest [8]byte
	if n, err := conn.Read(rest[:]); n > 0 || err == nil {
		t.Errorf("a read after Close: %q, %v", rest[:n], err)
	}
}
