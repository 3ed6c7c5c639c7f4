package culvert

import (
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"golang.org/x/net/http/httpguts"
)

const (
	// drainWait is how long the end of a response waits for the rest of a request
	// that is on its way, as that of a small form is when the answer is quick.
	drainWait = 50 * time.Millisecond
	// maxDrain bounds the rest of a request that is read to keep a connection; it
	// is what net/http has.
	maxDrain = 256 << 10
)

// settle ends the exchange after a response that is whole. An HTTP/1.1 connection
// can carry another request only when this one was read to its end: with full
// duplex, net/http does not look after that, and what is left of a body would be
// taken for a request.
func (x *gatewayExchange) settle() {
	if x.r.ProtoMajor != 1 || x.body.complete() {
		return
	}
	if x.cancel != nil {
		x.cancel()
	}
	x.flush() // the client need not wait for what follows
	if x.canDrain() {
		x.body.drain(x.control)
	}
	if !x.body.complete() {
		_ = x.control.SetReadDeadline(longAgo)
		closeAfterReply(x.w)
	}
}

// canDrain reports whether the client will send the rest of the body. One that
// waits to be asked for it will not.
func (x *gatewayExchange) canDrain() bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.continued || !httpguts.HeaderValuesContainsToken(x.r.Header["Expect"], "100-continue")
}

// drain reads the rest of the body, if it is short and comes soon.
func (b *gatewayBody) drain(control *http.ResponseController) {
	b.stopped.Store(true)
	if err := control.SetReadDeadline(time.Now().Add(drainWait)); err != nil {
		return
	}
	b.reading.Lock()
	defer b.reading.Unlock()
	buffer := gatewayBuffers.get()
	defer gatewayBuffers.put(buffer)
	for drained := 0; drained <= maxDrain && b.ended.Load() == nil; {
		n, _ := b.read(*buffer)
		drained += n
	}
	if b.complete() {
		_ = control.SetReadDeadline(time.Time{})
	}
}

// closeAfterReply has net/http's server close an HTTP/1.1 connection after the
// response, and linger so that the client can read it. There is no other way to
// say so after the head than to exceed a limit of [http.MaxBytesReader], which
// looks at the server's own ResponseWriter only.
func closeAfterReply(w http.ResponseWriter) {
	for {
		outer, ok := w.(interface{ Unwrap() http.ResponseWriter })
		if !ok {
			break
		}
		w = outer.Unwrap()
	}
	_, _ = http.MaxBytesReader(w, io.NopCloser(strings.NewReader("x")), 0).Read(make([]byte, 1))
}

// cut ends the exchange so that the client cannot take what it has for the
// whole: HTTP/1.1 closes the connection, HTTP/2 resets the stream.
func (x *gatewayExchange) cut() {
	x.release()
	if !x.body.complete() {
		_ = x.control.SetReadDeadline(longAgo) // or net/http waits for the rest of the request
	}
	if x.wroteHead && x.length < 0 && !x.r.ProtoAtLeast(1, 1) {
		// The end of the connection is the end of this body: a close looks like one.
		if conn, _, err := x.control.Hijack(); err == nil {
			resetConn(conn)
		}
	}
	panic(http.ErrAbortHandler)
}

// resetConn closes a connection in a way that its peer sees as an error: without
// TLS's close_notify, and with TCP's RST.
func resetConn(conn net.Conn) {
	for {
		layer, ok := conn.(interface{ NetConn() net.Conn })
		if !ok {
			break
		}
		conn = layer.NetConn() // tls.Conn, and what is around it
	}
	if tcp, ok := conn.(interface{ SetLinger(int) error }); ok { // TCPConn, or around one
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}
