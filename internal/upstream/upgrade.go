package upstream

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// closeWriter ends one direction of a connection.
type closeWriter interface{ CloseWrite() error }

// h1Tunnel is the body of a 101: the connection itself.
type h1Tunnel struct{ *h1Body }

// Read implements io.Reader.
func (t *h1Tunnel) Read(p []byte) (int, error) { return t.conn.br.Read(p) }

// Write implements io.Writer.
func (t *h1Tunnel) Write(p []byte) (int, error) { return t.conn.Write(p) }

// CloseWrite tells the upstream that nothing more will come.
func (t *h1Tunnel) CloseWrite() error {
	if conn, ok := t.conn.Conn.(closeWriter); ok {
		return conn.CloseWrite()
	}
	return errors.ErrUnsupported
}

// switchProtocols passes on a 101 and then the bytes of both sides, until both
// have ended.
func (x *exchange) switchProtocols(response *http.Response) error {
	offered := upgradeOf(x.r.Header)
	tunnel, ok := response.Body.(*h1Tunnel)
	protocol := upgradeOf(response.Header)
	if !ok || offered == "" || protocol == "" || !offers(offered, protocol) {
		return fmt.Errorf("read response: upstream switches to %q without being asked", protocol)
	}
	if tunnel.upload != nil {
		// What the client sends next is not HTTP any more, but its request is.
		<-tunnel.upload.done
		if tunnel.upload.err != nil {
			return tunnel.upload.err
		}
	}
	x.writer.switching(response.Header, protocol)
	conn, buffered, err := x.writer.controller.Hijack()
	if err != nil {
		return fmt.Errorf("take over connection: %w", err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Time{})
	// Past what is buffered the connection itself is read: net/http's reader would
	// take the client's half-close for its departure.
	return x.splice(conn, io.MultiReader(io.LimitReader(buffered, int64(buffered.Reader.Buffered())), conn), tunnel)
}

// switching sends a 101, which names the protocol to the client.
func (rw *responseWriter) switching(header http.Header, protocol string) {
	rw.mu.Lock()
	defer rw.mu.Unlock()
	own := rw.w.Header()
	copyEndToEnd(own, header)
	delete(own, "Content-Length")
	own["Connection"] = []string{"Upgrade"}
	own["Upgrade"] = []string{protocol}
	if _, ok := own["Date"]; !ok {
		own["Date"] = nil
	}
	rw.wroteHead.Store(true)
	rw.w.WriteHeader(http.StatusSwitchingProtocols)
}

// splice copies both ways. The end of one direction is passed on and leaves the
// other open; an error ends both, and both sides see it.
func (x *exchange) splice(client net.Conn, fromClient io.Reader, upstream *h1Tunnel) error {
	results := make(chan error, 2)
	go func() { results <- pump(upstream, fromClient) }()
	go func() { results <- pump(client, upstream) }()
	first := <-results
	switch {
	case first == nil:
	case errors.Is(first, errNoHalfClose):
		_ = client.Close()
		upstream.conn.interrupt()
	default:
		x.fail(first)
		reset(client)
		reset(upstream.conn.Conn)
	}
	second := <-results
	if errors.Is(first, errNoHalfClose) {
		return nil // that direction had ended well
	}
	if errors.Is(second, errNoHalfClose) {
		second = nil
	}
	return errors.Join(first, second)
}

// reset closes a connection in a way that its other end sees as an error, where
// there is one: a reset of TCP's, without TLS's close_notify.
func reset(conn net.Conn) {
	if exchange, ok := conn.(interface{ Abort() }); ok { // the tunnel's
		exchange.Abort()
		return
	}
	if secured, ok := conn.(*tls.Conn); ok {
		conn = secured.NetConn()
	}
	if recorded, ok := conn.(*recordConn); ok {
		conn = recorded.Conn
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}

// errNoHalfClose ends a tunnel over a connection that can only end as a whole.
var errNoHalfClose = errors.New("connection cannot end in one direction")

// pump copies until src ends, and then ends dst in that direction.
func pump(dst io.Writer, src io.Reader) error {
	buffer := getBuffer()
	defer putBuffer(buffer)
	if _, err := io.CopyBuffer(writerOnly{dst}, readerOnly{src}, *buffer); err != nil {
		return err
	}
	half, ok := dst.(closeWriter)
	if !ok {
		return errNoHalfClose
	}
	if err := half.CloseWrite(); errors.Is(err, errors.ErrUnsupported) {
		return errNoHalfClose
	}
	return nil // any other error says that the other side is gone already
}

// writerOnly and readerOnly hide io.ReaderFrom and io.WriterTo, which would use
// buffers of their own.
type (
	writerOnly struct{ io.Writer }
	readerOnly struct{ io.Reader }
)
