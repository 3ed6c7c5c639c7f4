package bridge

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	culvertv1 "github.com/culvert-http/culvert/api/culvert/v1"
)

// response is the ResponseWriter of the inner handler. It behaves as net/http's
// own does in the HTTP version of the request: what differs between versions is
// in versionRules.
type response struct {
	exchange *exchange
	rules    *versionRules

	header  http.Header
	status  int // 0 before WriteHeader
	head    responseHead
	written int64 // bytes that the handler wrote, also those that were refused
	taken   int64 // bytes of them that were not, also those that nobody gets
	buffer  coalescer
	frame   culvertv1.ResponseFrame // that is sent
	gone    chan bool               // of CloseNotify
}

// errAfterEnd is what a handler gets that writes after it has returned.
var errAfterEnd = errors.New("culvert: write after the handler has returned")

// Header implements http.ResponseWriter.
func (w *response) Header() http.Header {
	if w.header == nil {
		w.header = make(http.Header)
	}
	return w.header
}

// WriteHeader implements http.ResponseWriter. Statuses 1xx but 101 are sent at
// once, and may be repeated.
func (w *response) WriteHeader(status int) {
	if w.status != 0 {
		w.exchange.log("superfluous WriteHeader", "status", status)
		return
	}
	if status < 100 || status > 999 {
		panic(fmt.Sprintf("invalid WriteHeader code %v", status))
	}
	if status == http.StatusSwitchingProtocols && !upgrades(w.exchange.request) {
		panic("WriteHeader with 101 for a request that does not upgrade")
	}
	if status < 101 || status > 199 {
		w.exchange.awaitsContinue.Store(false)
	}
	if status < 200 && status != http.StatusSwitchingProtocols {
		w.exchange.sendInformational(status, w.header)
		return
	}
	w.status = status
	w.head.snapshot(w.rules, status, w.header)
	if w.head.invalidLength != "" {
		w.exchange.log("invalid Content-Length", "value", w.head.invalidLength)
	}
}

// Write implements http.ResponseWriter.
func (w *response) Write(p []byte) (int, error) {
	if err := w.admit(len(p)); err != nil || len(p) == 0 {
		return 0, err
	}
	return wrote(len(p), w.buffer.write(w, p))
}

// WriteString implements io.StringWriter.
func (w *response) WriteString(s string) (int, error) {
	if err := w.admit(len(s)); err != nil || s == "" {
		return 0, err
	}
	if w.buffer.takes(w, s) {
		return len(s), nil
	}
	return wrote(len(s), w.buffer.write(w, []byte(s)))
}

// wrote is what a Write of n bytes returns.
func wrote(n int, err error) (int, error) {
	if err != nil {
		return 0, err
	}
	return n, nil
}

// admit says whether n more bytes may be written.
func (w *response) admit(n int) error {
	if err := w.exchange.writable(); err != nil {
		return err
	}
	w.exchange.awaitsContinue.Store(false)
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	if n == 0 {
		return nil
	}
	if !bodyAllowed(w.status) {
		return http.ErrBodyNotAllowed
	}
	w.written += int64(n)
	if w.head.length != unknownLength && w.written > w.head.length {
		return http.ErrContentLength
	}
	w.taken = w.written
	return nil
}

// Flush implements http.Flusher.
func (w *response) Flush() { _ = w.FlushError() }

// FlushError sends the head, if that is still to be done, and all that was
// written.
func (w *response) FlushError() error {
	if err := w.exchange.writable(); err != nil {
		return err
	}
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	return w.buffer.flush(w)
}

// emit sends a part of the body, with the head before it if that is still to be
// done.
func (w *response) emit(data []byte) error {
	frame := &w.frame
	frame.Head, frame.Data = w.takeHead(data, false), nil
	if !w.isHead() {
		frame.Data = data
	}
	if frame.Head == nil && len(frame.Data) == 0 {
		return w.exchange.sendFailure()
	}
	err := w.exchange.send(frame)
	w.head.release()
	return err
}

// takeHead returns the head for the frame that carries the first data, and nil
// from then on.
func (w *response) takeHead(first []byte, complete bool) *culvertv1.ResponseHead {
	if w.head.taken {
		return nil
	}
	w.head.taken = true
	return w.head.complete(first, complete, w.isHead())
}

func (w *response) isHead() bool { return w.exchange.request.Method == http.MethodHead }

// finish sends what is left, with the end. The handler has returned.
func (w *response) finish() *Error {
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	defer w.buffer.release()
	if !w.isHead() && bodyAllowed(w.status) && w.head.length != unknownLength && w.taken != w.head.length {
		return w.exchange.cutShort(fmt.Errorf("handler wrote %d of %d bytes", w.taken, w.head.length))
	}
	if w.buffer.bulk != nil {
		return w.finishInBulk()
	}
	data := w.buffer.bytes()
	frame := &w.frame
	frame.Head, frame.Data, frame.End = w.takeHead(data, true), nil, true
	if !w.isHead() {
		frame.Data, frame.Trailers = data, w.trailers()
	}
	if err := w.exchange.sendLast(frame); err != nil {
		return sendError(err, w.exchange.sentAnything())
	}
	return nil
}

// finishInBulk is finish for a body that was written in bulk to its end.
func (w *response) finishInBulk() *Error {
	message, err := w.buffer.bulk.finish()
	if err != nil {
		return receiveError(err)
	}
	frame := &w.frame
	frame.Head, frame.Data, frame.End, frame.Trailers = nil, nil, true, w.trailers()
	if message != nil {
		frame.Data = message[BulkHeadroom:]
	}
	if err := w.exchange.transmit(frame, message, true); err != nil {
		return receiveError(err)
	}
	return nil
}

// SetReadDeadline bounds the reading of the request's body; see
// http.ResponseController.
func (w *response) SetReadDeadline(at time.Time) error {
	w.exchange.body.deadline.set(at, w.exchange.stream.InterruptReceive)
	return nil
}

// SetWriteDeadline bounds the writing of the response; see
// http.ResponseController.
func (w *response) SetWriteDeadline(at time.Time) error {
	w.exchange.writeDeadline.set(at, w.exchange.interruptSend)
	return nil
}

// CloseNotify implements the deprecated http.CloseNotifier, which frameworks still
// take for granted: net/http's own writers have it. The channel receives a value
// when the request's context ends.
func (w *response) CloseNotify() <-chan bool {
	if w.gone == nil {
		gone := make(chan bool, 1)
		w.gone = gone
		w.exchange.ctx.AfterFunc(func() { gone <- true })
	}
	return w.gone
}

// EnableFullDuplex has nothing to do: every exchange is full duplex.
func (w *response) EnableFullDuplex() error { return nil }

// upgradeWriter is the ResponseWriter of a request that may upgrade. Others have
// no Hijack, as in HTTP/2.
type upgradeWriter struct{ *response }

// Hijack implements http.Hijacker. What the handler writes to the connection is
// read as HTTP/1.1 until the head of a response is complete.
func (w upgradeWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return w.exchange.hijack()
}
