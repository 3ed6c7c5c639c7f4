package server

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"golang.org/x/net/http2"
)

// Flow control of HTTP/2. Where the windows of a stream and of its connection
// are equal, as net/http has them, one stalled upload freezes its connection;
// where a stream's is small, it throttles on long ways, for net/http's do not
// grow.
const (
	streamWindow = 4 << 20
	connWindow   = 64 << 20
)

// maxPingTimeout bounds the time that a peer may take to answer the ping that it is
// sent when nothing came from it for the ping interval. It has as long again.
const maxPingTimeout = 15 * time.Second

// checkTimeout bounds [checkWindows], which takes well under a millisecond.
const checkTimeout = 10 * time.Second

func newHTTP2Config(config *Config) *http.HTTP2Config {
	return &http.HTTP2Config{
		MaxConcurrentStreams:          config.MaxExchangesPerConn + streamSlack,
		MaxReceiveBufferPerStream:     streamWindow,
		MaxReceiveBufferPerConnection: connWindow,
		SendPingTimeout:               config.PingInterval,
		PingTimeout:                   min(config.PingInterval, maxPingTimeout),
		WriteByteTimeout:              config.StallTimeout,
	}
}

// checkWindows sees that net/http takes the windows of config: its documentation
// has an upper bound that its code has not, and what it does not take it replaces
// silently by its default.
func checkWindows(config *http.HTTP2Config) error {
	client, server := net.Pipe()
	defer client.Close()
	if err := client.SetDeadline(time.Now().Add(checkTimeout)); err != nil {
		return err
	}
	var protocols http.Protocols
	protocols.SetUnencryptedHTTP2(true)
	srv := &http.Server{Handler: http.NotFoundHandler(), Protocols: &protocols, HTTP2: config}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = srv.Serve(newSingleListener(server))
	}()
	defer func() { <-served }()
	defer srv.Close()

	stream, conn, err := readWindows(client)
	if err != nil {
		return err
	}
	if stream != config.MaxReceiveBufferPerStream || conn != config.MaxReceiveBufferPerConnection {
		return fmt.Errorf("windows are %d bytes a stream and %d a connection, want %d and %d",
			stream, conn, config.MaxReceiveBufferPerStream, config.MaxReceiveBufferPerConnection)
	}
	return nil
}

// readWindows opens an HTTP/2 connection as a client and reads what windows the
// server announces: those of a stream in its SETTINGS, what is added to the
// connection's in a WINDOW_UPDATE that follows them.
func readWindows(rw io.ReadWriter) (stream, conn int, err error) {
	framer := http2.NewFramer(rw, rw)
	written := make(chan error, 1)
	go func() {
		_, err := io.WriteString(rw, http2.ClientPreface)
		written <- errors.Join(err, framer.WriteSettings())
	}()
	const initialWindow = 65_535
	conn = initialWindow
	for stream == 0 || conn == initialWindow {
		frame, err := framer.ReadFrame()
		if err != nil {
			return 0, 0, fmt.Errorf("read frame: %w", err)
		}
		switch frame := frame.(type) {
		case *http2.SettingsFrame:
			if value, ok := frame.Value(http2.SettingInitialWindowSize); ok {
				stream = int(value)
			}
		case *http2.WindowUpdateFrame:
			conn += int(frame.Increment)
		}
	}
	return stream, conn, <-written
}

// singleListener accepts one connection that exists already.
type singleListener struct {
	conns chan net.Conn
	addr  net.Addr
}

func newSingleListener(conn net.Conn) *singleListener {
	l := &singleListener{conns: make(chan net.Conn, 1), addr: conn.LocalAddr()}
	l.conns <- conn
	return l
}

func (l *singleListener) Accept() (net.Conn, error) {
	conn, ok := <-l.conns
	if !ok {
		return nil, net.ErrClosed
	}
	return conn, nil
}

// Close is called once: http.Server sees to that.
func (l *singleListener) Close() error {
	close(l.conns)
	return nil
}

func (l *singleListener) Addr() net.Addr { return l.addr }
