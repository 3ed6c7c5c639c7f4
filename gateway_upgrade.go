package culvert

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
)

// switchProtocols answers an upgrade, and then carries the bytes of the other
// protocol both ways until both sides have ended.
func (x *gatewayExchange) switchProtocols(resp *http.Response) (whole bool) {
	tunnel, ok := resp.Body.(io.ReadWriteCloser)
	if !ok || x.upgrade == "" {
		return x.fail(malformedResponse("status 101 to a request without an upgrade"))
	}
	fields, err := endToEnd(resp.Header)
	if err != nil {
		return x.fail(err)
	}
	upgrade := resp.Header.Get("Upgrade")
	if upgrade == "" {
		upgrade = x.upgrade
	} else if !offered(x.upgrade, upgrade) {
		return x.fail(malformedResponse("upgrade to %q, which was not asked for", upgrade))
	}
	delete(fields, "Content-Length")
	fields["Connection"] = []string{"Upgrade"}
	fields["Upgrade"] = []string{upgrade}

	conn, buffered, err := x.hijack()
	if err != nil {
		return x.fail(err)
	}
	x.record.Status = http.StatusSwitchingProtocols
	if err := writeSwitch(buffered.Writer, fields); err != nil {
		abortTunnel(tunnel)
		resetConn(conn)
		x.record.Err = err
		return true
	}
	x.record.Err = x.carry(conn, buffered.Reader, tunnel)
	return true
}

// offered reports whether a protocol is in the list that the client sent.
func offered(list, protocol string) bool {
	for one := range strings.SplitSeq(list, ",") {
		if strings.EqualFold(strings.TrimSpace(one), strings.TrimSpace(protocol)) {
			return true
		}
	}
	return false
}

// hijack takes the connection from net/http. No 1xx response can follow.
func (x *gatewayExchange) hijack() (net.Conn, *bufio.ReadWriter, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	conn, buffered, err := x.control.Hijack()
	if err != nil {
		return nil, nil, fmt.Errorf("take over connection: %w", err)
	}
	x.wroteHead = true
	return conn, buffered, nil
}

func writeSwitch(w *bufio.Writer, fields http.Header) error {
	_, _ = w.WriteString("HTTP/1.1 101 Switching Protocols\r\n") // Flush has the error
	_ = fields.Write(w)
	_, _ = w.WriteString("\r\n")
	return w.Flush()
}

// carry copies both ways. The end of one direction leaves the other open; an
// error in one ends both, and both sides see it.
func (x *gatewayExchange) carry(conn net.Conn, client io.Reader, tunnel io.ReadWriteCloser) error {
	d := &duplex{abort: func() {
		abortTunnel(tunnel)
		resetConn(conn)
	}}
	if x.gateway.config.maxDuration > 0 || x.record.Peer.Identity.ends() {
		defer context.AfterFunc(x.over, d.abort)()
	}
	var to io.Writer = conn
	if x.gateway.stalls.timeout > 0 {
		watched := newStallConn(conn, &x.gateway.stalls)
		defer watched.stop()
		to = watched
	}
	d.open.Store(2)
	up := make(chan struct{})
	go func() {
		defer close(up)
		x.record.RequestBytes = d.copy(tunnel, client)
	}()
	x.record.ResponseBytes = d.copy(to, tunnel)
	<-up
	_ = tunnel.Close()
	_ = conn.Close()
	return d.err
}

// abortTunnel closes the other side, if it can in a way that shows as an error.
func abortTunnel(tunnel io.Closer) {
	if cut, ok := tunnel.(interface{ Abort() }); ok { // as a Transport's can
		cut.Abort()
		return
	}
	_ = tunnel.Close()
}

// duplex is two directions that end together if one of them fails.
type duplex struct {
	open  atomic.Int32 // directions that have not ended
	abort func()
	once  sync.Once
	err   error // the first; to be read after both directions have returned
}

// copy copies one direction, and ends it as it ended.
func (d *duplex) copy(to io.Writer, from io.Reader) int64 {
	buffer := gatewayBuffers.get()
	defer gatewayBuffers.put(buffer)
	n, err := io.CopyBuffer(onlyWriter{to}, onlyReader{from}, *buffer)
	if err == nil && d.open.Add(-1) > 0 {
		err = closeWrite(to)
	}
	if err != nil {
		d.once.Do(func() {
			d.err = err
			d.abort()
		})
	}
	return n
}

func closeWrite(w io.Writer) error {
	half, ok := w.(interface{ CloseWrite() error })
	if !ok {
		return errors.New("the other side cannot be half closed")
	}
	return half.CloseWrite()
}

// onlyWriter and onlyReader hide the methods that would copy without the buffer.
type (
	onlyWriter struct{ io.Writer }
	onlyReader struct{ io.Reader }
)
