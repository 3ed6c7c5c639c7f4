package faults

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"testing"
)

// direction is one of the two of a connection.
type direction int

const (
	up direction = iota // from the client
	down
)

func (d direction) String() string { return [...]string{"requests", "responses"}[d] }

// relay passes connections on to a server, and cuts them after an exact number of
// bytes of one direction. toxiproxy's limit_data closes one side only.
type relay struct {
	listener net.Listener
	target   string
	passed   [2]atomic.Int64
	limit    [2]atomic.Int64 // negative for none
	wg       sync.WaitGroup
}

func newRelay(tb testing.TB, target string) *relay {
	tb.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	r := &relay{listener: listener, target: target}
	r.reset(up, -1)
	r.wg.Go(r.accept)
	tb.Cleanup(func() {
		_ = listener.Close()
		r.wg.Wait()
	})
	return r
}

// reset has the connections from now on cut after n bytes of d, or never.
func (r *relay) reset(d direction, n int) {
	for i := range r.limit {
		r.limit[i].Store(-1)
		r.passed[i].Store(0)
	}
	r.limit[d].Store(int64(n))
}

func (r *relay) accept() {
	for {
		client, err := r.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", r.target)
		if err != nil {
			_ = client.Close()
			continue
		}
		cut := func() {
			_ = client.Close()
			_ = server.Close()
		}
		r.wg.Go(func() { defer cut(); r.pass(up, server, client) })
		r.wg.Go(func() { defer cut(); r.pass(down, client, server) })
	}
}

func (r *relay) pass(d direction, dst, src net.Conn) {
	buffer := make([]byte, 16<<10)
	left := r.limit[d].Load()
	for left != 0 {
		room := buffer
		if left > 0 {
			room = buffer[:min(int64(len(buffer)), left)]
		}
		n, err := src.Read(room)
		if n > 0 {
			if _, writeErr := dst.Write(room[:n]); writeErr != nil {
				return
			}
			r.passed[d].Add(int64(n))
			left -= int64(n) // stays negative where there is no limit
		}
		if err != nil {
			return
		}
	}
}

// dial goes to the server itself at first, as that connection only asks what it
// speaks, and through the relay from then on.
func (r *relay) dial() func(ctx context.Context, network, address string) (net.Conn, error) {
	var dials atomic.Int32
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		if dials.Add(1) > 1 {
			address = r.listener.Addr().String()
		}
		return new(net.Dialer).DialContext(ctx, network, address)
	}
}
