package culvert

import (
	"context"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// expectWait is how long the body of a client that expects a 100 is left unread
// while neither a 100 nor a final head comes: a server may never send one [RFC
// 9110 § 10.1.1].
const expectWait = time.Second

// gatewayBody is the body of a request as the RoundTripper gets it. It outlives
// the RoundTripper's interest in it, and ends with the exchange. The methods of a
// nil gatewayBody are those of a body that is empty.
type gatewayBody struct {
	ctx     context.Context // the exchange's
	source  io.Reader       // net/http's body
	request *http.Request   // net/http's, whose trailers come with the end
	trailer http.Header     // where they go; nil if there can be none
	trails  func(name string) bool
	watch   bodyWatch

	ask  func()        // asks the client for the body; nil unless it waits for that
	gate chan struct{} // closed when the body may be read; nil if it always may
	once sync.Once     // closes it
	held time.Time     // when it opens at the latest

	stopped atomic.Bool
	reading sync.Mutex // held by a read, and by who wants to know that there is none
	count   atomic.Int64
	ended   atomic.Pointer[error] // why nothing more can be read; io.EOF at the end
}

// newBody returns the body of the exchange's request, which ends with ctx.
func (x *gatewayExchange) newBody(ctx context.Context) *gatewayBody {
	return &gatewayBody{
		ctx:     ctx,
		source:  x.r.Body,
		request: x.r,
		trails:  x.requestTrails,
		watch:   bodyWatch{timeout: x.gateway.config.idleTimeout, control: x.control, start: x.record.Start},
	}
}

// hold leaves the body unread for a time, or until it is opened.
func (b *gatewayBody) hold() {
	b.gate = make(chan struct{})
	b.held = time.Now().Add(expectWait)
}

// Read implements io.Reader.
func (b *gatewayBody) Read(p []byte) (int, error) {
	b.reading.Lock()
	defer b.reading.Unlock()
	if b.stopped.Load() {
		return 0, http.ErrBodyReadAfterClose
	}
	if err := b.ended.Load(); err != nil {
		return 0, *err
	}
	if err := b.wait(); err != nil {
		return 0, err
	}
	return b.read(p)
}

// read needs the reading lock.
func (b *gatewayBody) read(p []byte) (int, error) {
	b.watch.begin()
	n, err := b.source.Read(p)
	b.watch.end()
	if err != nil && err != io.EOF && b.watch.expired.Load() {
		err = errGatewayIdle
	}
	if count := b.count.Add(int64(n)); err == nil && count == b.request.ContentLength && len(b.request.Trailer) == 0 {
		// All that was declared is there. net/http's HTTP/2 would wait for the end of
		// the stream, which a client may hold back until this part was answered.
		err = io.EOF
	}
	if err == io.EOF {
		b.copyTrailer()
	}
	if err != nil {
		b.ended.Store(&err)
	}
	return n, err
}

// copyTrailer takes over the trailer section, also what was not announced.
func (b *gatewayBody) copyTrailer() {
	if b.trailer == nil {
		return
	}
	for name, values := range b.request.Trailer {
		if len(values) > 0 && b.trails(name) {
			b.trailer[name] = values
		}
	}
}

// wait returns when the body may be read, and has asked the client for it.
func (b *gatewayBody) wait() error {
	if b.ask == nil {
		return nil
	}
	if b.gate != nil {
		timer := time.NewTimer(time.Until(b.held))
		defer timer.Stop()
		select {
		case <-b.gate:
		case <-timer.C:
		case <-b.ctx.Done():
			return b.ctx.Err()
		}
	}
	b.ask()
	b.ask = nil
	return nil
}

// open lets the body be read.
func (b *gatewayBody) open() {
	if b != nil && b.gate != nil {
		b.once.Do(func() { close(b.gate) })
	}
}

// Close implements io.Closer: the RoundTripper wants no more of the body. It does
// not wait for a read that runs, and leaves net/http's body open.
func (b *gatewayBody) Close() error {
	b.stopped.Store(true)
	return nil
}

// stop ends the body for the RoundTripper, and returns when no read is left. A
// read that still waits for the client is interrupted, after which the connection
// of an HTTP/1.1 client is of no use for another request.
func (b *gatewayBody) stop(control *http.ResponseController) {
	if b == nil {
		return
	}
	b.stopped.Store(true)
	if !b.reading.TryLock() {
		_ = control.SetReadDeadline(longAgo)
		b.reading.Lock()
	}
	b.reading.Unlock()
}

// interrupt ends a read that waits for the client.
func (b *gatewayBody) interrupt() {
	if b != nil {
		b.watch.interrupt()
	}
}

// moved says that something of the response has gone to the client.
func (b *gatewayBody) moved() {
	if b != nil {
		b.watch.moved()
	}
}

// isIdle reports whether the client was given up because nothing moved.
func (b *gatewayBody) isIdle() bool { return b != nil && b.watch.expired.Load() }

// longAgo is a deadline that has passed.
var longAgo = time.Unix(1, 0)

// complete reports whether all of the body was read.
func (b *gatewayBody) complete() bool {
	if b == nil {
		return true
	}
	err := b.ended.Load()
	return err != nil && *err == io.EOF
}

// failure returns the error that reading the body ended with, nil if it did not
// or was at its end.
func (b *gatewayBody) failure() error {
	if b == nil {
		return nil
	}
	if err := b.ended.Load(); err != nil && *err != io.EOF {
		return *err
	}
	return nil
}

// rest returns how much is known to be left, 0 if the length is not known.
func (b *gatewayBody) rest() int64 {
	if b == nil || b.request.ContentLength < 0 {
		return 0
	}
	return b.request.ContentLength - b.count.Load()
}

// bytes returns how much was read.
func (b *gatewayBody) bytes() int64 {
	if b == nil {
		return 0
	}
	return b.count.Load()
}
