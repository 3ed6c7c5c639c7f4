package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/culvert-http/culvert"
	culvertv1 "github.com/culvert-http/culvert/api/culvert/v1"
)

// dialFrom returns a function that dials from an address of this machine.
func dialFrom(ip string) func(context.Context, string, string) (net.Conn, error) {
	return (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(ip)}}).DialContext
}

// dialBound opens a connection that gives up when the test has waited enough.
func dialBound(tb testing.TB, addr string) net.Conn {
	tb.Helper()
	conn, err := net.Dial("tcp", addr)
	must(tb, err)
	tb.Cleanup(func() { _ = conn.Close() })
	must(tb, conn.SetDeadline(time.Now().Add(patience)))
	return conn
}

// request sends what it is given, and returns the status of the response.
func request(tb testing.TB, conn net.Conn, raw string) *http.Response {
	tb.Helper()
	_, err := io.WriteString(conn, raw)
	must(tb, err)
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	must(tb, err)
	_ = resp.Body.Close()
	return resp
}

const plainRequest = "GET /here HTTP/1.1\r\nHost: localhost\r\n\r\n"

func testMaxConns(t *testing.T, start startBound) {
	addr := start(t, newBoundApp(), "--max-conns=1")
	testConns(t, addr, "127.0.0.2", false)
}

func testMaxConnsPerPeer(t *testing.T, start startBound) {
	addr := start(t, newBoundApp(), "--max-conns-per-peer=1")
	testConns(t, addr, "127.0.0.2", true)
}

// testConns sees that one connection is served, and a second one refused, in the
// client's protocol.
func testConns(t *testing.T, addr, other string, otherIsServed bool) {
	first := dialBound(t, addr)
	if resp := request(t, first, plainRequest); resp.StatusCode == http.StatusServiceUnavailable {
		t.Fatalf("the first connection got %d", resp.StatusCode)
	}
	rt := newPlainClient(t).Transport
	get(t, rt, addr, "/").wantStatus(t, http.StatusServiceUnavailable, "Retry-After")
	client := newConnectClient(addr, connect.WithGRPC())
	_, err := client.Call(t.Context(), connect.NewRequest(&culvertv1.HTTPRequest{Path: "/"}))
	if connect.CodeOf(err) != connect.CodeResourceExhausted {
		t.Errorf("gRPC got %v", err)
	}
	from := &http.Transport{DisableKeepAlives: true, DialContext: dialFrom(other)}
	if got := get(t, from, addr, "/"); got.err != nil || (got.status != http.StatusServiceUnavailable) != otherIsServed {
		t.Errorf("another address got %d, %v", got.status, got.err)
	}
	must(t, first.Close())
	until(t, "room for another", func() bool { return get(t, rt, addr, "/").status != http.StatusServiceUnavailable })
}

// What does not come in time is not waited for: TLS apart, a header, the preface
// of HTTP/2, a body that nobody reads.
func testHeaderTimeout(t *testing.T, start startBound) {
	addr := start(t, newBoundApp(), "--header-timeout="+short)
	for name, sent := range map[string]string{
		"nothing":              "",
		"a part of a header":   "GET / HTTP/1.1\r\nHost: localhost\r\nX-",
		"a part of HTTP/2":     http2.ClientPreface[:20],
		"a body nobody reads":  "POST /here HTTP/1.1\r\nHost: evil.example\r\nContent-Length: 10\r\n\r\nx",
		"a chunk nobody reads": "POST /here HTTP/1.1\r\nHost: evil.example\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nx",
	} {
		t.Run(name, func(t *testing.T) {
			conn := dialBound(t, addr)
			_, err := io.WriteString(conn, sent)
			must(t, err)
			if _, err := io.Copy(io.Discard, conn); isTimeout(err) {
				t.Error("the connection is still open")
			}
		})
	}
}

func isTimeout(err error) bool {
	return errors.Is(err, os.ErrDeadlineExceeded)
}

func testMaxHeaderBytes(t *testing.T, start startBound) {
	addr := start(t, newBoundApp(), "--max-header-bytes=4KiB")
	raw := "GET /here HTTP/1.1\r\nHost: localhost\r\nLong: " + strings.Repeat("x", 16<<10) + "\r\n\r\n"
	if got := request(t, dialBound(t, addr), raw).StatusCode; got != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("HTTP/1.1: got %d", got)
	}
	header := http.Header{"Long": {strings.Repeat("x", 16<<10)}}
	got := ask(t, newVersionTransport(t, "HTTP/2"), http.MethodGet, "http://"+addr+"/", header, nil)
	if got.status != http.StatusRequestHeaderFieldsTooLarge && got.err == nil {
		t.Errorf("HTTP/2: got %d", got.status)
	}
}

func testConnIdleTimeout(t *testing.T, start startBound) {
	addr := start(t, newBoundApp(), "--conn-idle-timeout="+short)
	conn := dialBound(t, addr)
	request(t, conn, plainRequest)
	if _, err := io.Copy(io.Discard, conn); isTimeout(err) {
		t.Error("HTTP/1.1: the connection is still open")
	}
	conn = dialBound(t, addr)
	beginHTTP2(t, conn)
	if _, err := io.Copy(io.Discard, conn); isTimeout(err) {
		t.Error("HTTP/2: the connection is still open")
	}
}

func testPingInterval(t *testing.T, start startBound) {
	addr := start(t, newBoundApp(), "--ping-interval="+short)
	framer := beginHTTP2(t, dialBound(t, addr))
	asked := false
	for {
		frame, err := framer.ReadFrame()
		if err != nil {
			if !asked || isTimeout(err) {
				t.Errorf("was asked: %t, ended with %v", asked, err)
			}
			return
		}
		if ping, ok := frame.(*http2.PingFrame); ok && !ping.IsAck() {
			asked = true
		}
	}
}

// Who takes back what it asks for is sent away.
func testMaxResetsPerConn(t *testing.T, start startBound) {
	addr := start(t, newBoundApp(), "--max-resets-per-conn=10")
	conn := dialBound(t, addr)
	away := make(chan error, 1)
	framer := beginHTTP2(t, conn)
	go func() {
		for {
			frame, err := framer.ReadFrame()
			if _, ok := frame.(*http2.GoAwayFrame); ok || err != nil {
				away <- err
				return
			}
		}
	}()
	for id := uint32(1); id < 600; id += 2 { // fewer than by default
		if takeBack(framer, id) != nil {
			break // closed already
		}
		select {
		case err := <-away:
			must(t, err)
			return
		case <-time.After(time.Millisecond):
		}
	}
	must(t, await(t, "a GOAWAY", away))
}

// An address whose connections take back far too much is cut off, and others are
// not.
func testResetRatePerPeer(t *testing.T, start startBound) {
	addr := start(t, newBoundApp(), "--reset-rate-per-peer=1", "--max-resets-per-conn=0")
	const conns = 20 // those that are to wait for ten seconds and more are closed
	ends := make(chan error, conns)
	for range conns {
		go func() { ends <- takeBackFrom(t, "127.0.0.1", addr) }()
	}
	for {
		err := await(t, "a connection that is closed", ends)
		if isTimeout(err) {
			t.Fatal(err)
		}
		if err != nil {
			break
		}
	}
	if err := takeBackFrom(t, "127.0.0.2", addr); err != nil {
		t.Errorf("another address: %v", err)
	}
}

// takeBackFrom takes a request back, and returns an error if the connection is
// closed for it.
func takeBackFrom(t *testing.T, ip, addr string) error {
	conn, err := dialFrom(ip)(t.Context(), "tcp", addr)
	if err != nil {
		return err
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(patience))
	_, err = io.WriteString(conn, http2.ClientPreface)
	framer := http2.NewFramer(conn, conn)
	err = errors.Join(err, framer.WriteSettings(), takeBack(framer, 1), framer.WritePing(false, [8]byte{}))
	for err == nil {
		var frame http2.Frame
		if frame, err = framer.ReadFrame(); err == nil && frame.Header().Type == http2.FramePing {
			return nil
		}
	}
	return err
}

// beginHTTP2 begins HTTP/2 on a connection.
func beginHTTP2(tb testing.TB, conn net.Conn) *http2.Framer {
	tb.Helper()
	_, err := io.WriteString(conn, http2.ClientPreface)
	must(tb, err)
	framer := http2.NewFramer(conn, conn)
	must(tb, framer.WriteSettings())
	return framer
}

// takeBack opens a stream with a request, and resets it.
func takeBack(framer *http2.Framer, id uint32) error {
	var block bytes.Buffer
	encoder := hpack.NewEncoder(&block)
	for _, field := range [][2]string{
		{":method", "POST"},
		{":scheme", "http"},
		{":authority", "localhost"},
		{":path", "/" + culvert.ServiceName + "/Call"},
		{"content-type", "application/json"},
	} {
		_ = encoder.WriteField(hpack.HeaderField{Name: field[0], Value: field[1]}) // to a buffer
	}
	err := framer.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: block.Bytes(), EndHeaders: true})
	return errors.Join(err, framer.WriteRSTStream(id, http2.ErrCodeCancel))
}
