package onestream_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/culvert-http/culvert/internal/onestream"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for what has to come.
const patience = 20 * time.Second

// config has windows that are soon full.
func config() *onestream.Config {
	return &onestream.Config{
		StreamWindow: 64 << 10, ConnWindow: 128 << 10, MaxFrame: 32 << 10, MaxHeaderBytes: 16 << 10,
	}
}

// pieces is a body whose pieces are given one by one.
type pieces struct {
	next   chan []byte // closed at the end
	closed chan struct{}
	once   sync.Once
}

var errInterrupted = errors.New("interrupted")

// newPieces returns a body that begins with some pieces.
func newPieces(first ...string) *pieces {
	p := &pieces{next: make(chan []byte, 100), closed: make(chan struct{})}
	for _, piece := range first {
		p.add([]byte(piece))
	}
	return p
}

func (p *pieces) add(piece []byte) {
	p.next <- append(make([]byte, onestream.Headroom), piece...)
}

func (p *pieces) end() *pieces {
	close(p.next)
	return p
}

// Next implements onestream.Pieces.
func (p *pieces) Next() ([]byte, error) {
	select {
	case <-p.closed:
		return nil, errInterrupted
	default:
	}
	select {
	case piece, ok := <-p.next:
		if !ok {
			return nil, io.EOF
		}
		return piece, nil
	case <-p.closed:
		return nil, errInterrupted
	}
}

// Close implements onestream.Pieces.
func (p *pieces) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

// peer is a server that does what a test says.
type peer struct {
	tb testing.TB
	net.Conn
	*http2.Framer
	encoder *hpack.Encoder
	block   bytes.Buffer
}

// newPeer returns the server's end of a connection, and the client's.
func newPeer(tb testing.TB) (*peer, net.Conn) {
	tb.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	defer listener.Close()
	client, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		tb.Fatal(err)
	}
	server, err := listener.Accept()
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		_ = client.Close()
		_ = server.Close()
	})
	_ = server.SetDeadline(time.Now().Add(patience))
	return newPeerOn(tb, server), client
}

func newPeerOn(tb testing.TB, conn net.Conn) *peer {
	tb.Helper()
	p := &peer{tb: tb, Conn: conn, Framer: http2.NewFramer(conn, conn)}
	p.AllowIllegalWrites, p.AllowIllegalReads = true, true
	p.SetMaxReadFrameSize(1 << 20)
	p.encoder = hpack.NewEncoder(&p.block)
	return p
}

// greet reads the preface, and sends settings.
func (p *peer) greet(settings ...http2.Setting) {
	p.tb.Helper()
	preface := make([]byte, len(http2.ClientPreface))
	if _, err := io.ReadFull(p.Conn, preface); err != nil || string(preface) != http2.ClientPreface {
		p.tb.Errorf("preface %q, %v", preface, err)
	}
	if err := p.WriteSettings(settings...); err != nil {
		p.tb.Error(err)
	}
}

// await reads frames until want takes one, and returns it.
func (p *peer) await(want func(http2.Frame) bool) http2.Frame {
	p.tb.Helper()
	for {
		frame, err := p.ReadFrame()
		if err != nil {
			p.tb.Errorf("the frame that was waited for has not come: %v", err)
			return nil
		}
		if want(frame) {
			return frame
		}
	}
}

// isType returns what await takes for frames of a type.
func isType(kind http2.FrameType) func(http2.Frame) bool {
	return func(frame http2.Frame) bool { return frame.Header().Type == kind }
}

// awaitCode waits for the GOAWAY that ends a connection, and returns its code, and
// that of the RST_STREAM before it, if there is one.
func (p *peer) awaitCode() (goAway, reset http2.ErrCode) {
	p.tb.Helper()
	frame := p.await(func(frame http2.Frame) bool {
		if frame, ok := frame.(*http2.RSTStreamFrame); ok {
			reset = frame.ErrCode
		}
		return frame.Header().Type == http2.FrameGoAway
	})
	if frame, ok := frame.(*http2.GoAwayFrame); ok {
		goAway = frame.ErrCode
	}
	return goAway, reset
}

// fields returns a header section: names and values in turn.
func (p *peer) fields(list ...string) []byte {
	p.block.Reset()
	for ; len(list) > 0; list = list[2:] {
		_ = p.encoder.WriteField(hpack.HeaderField{Name: list[0], Value: list[1]})
	}
	return bytes.Clone(p.block.Bytes())
}

// headers sends a header section.
func (p *peer) headers(end bool, list ...string) {
	p.tb.Helper()
	err := p.WriteHeaders(http2.HeadersFrameParam{
		StreamID: 1, BlockFragment: p.fields(list...), EndHeaders: true, EndStream: end,
	})
	if err != nil {
		p.tb.Error(err)
	}
}

// script runs what the server does, and has the test wait for it.
func script(tb testing.TB, run func()) {
	tb.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		run()
	}()
	tb.Cleanup(func() {
		select {
		case <-done:
		case <-time.After(patience):
			tb.Error("the server is still waiting")
		}
	})
}

// newRequest returns a request that gives up in time.
func newRequest(tb testing.TB) *http.Request {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	tb.Cleanup(cancel)
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://server.example/a?b=c", nil)
	if err != nil {
		tb.Fatal(err)
	}
	return request
}

// exchange sends a request with a body that is there, and returns all of the
// response, or how it ends.
func exchange(tb testing.TB, conn net.Conn, body *pieces, config *onestream.Config) (response *http.Response, read string, err error) {
	tb.Helper()
	response, err = onestream.RoundTrip(conn, newRequest(tb), body, config)
	if err != nil {
		return nil, "", err
	}
	defer response.Body.Close()
	all, err := io.ReadAll(response.Body)
	return response, string(all), err
}
