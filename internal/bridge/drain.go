package bridge

import "time"

// What a server still reads after the response: enough to see what a client has
// sent on purpose, too little to be held up by it.
const (
	drainTime  = 100 * time.Millisecond
	drainBytes = 256 << 10
)

// drain reads what is left of the request after the response's end, for a short
// while. A client that half-closes, as it should, is done at once; what it sent
// against the rules still fails the RPC, also where the handler never looked.
func (e *exchange) drain() *Error {
	body := &e.body
	if _, ok := e.stream.(MultiplexedStream); ok && body.ended {
		return nil // the session sees what follows
	}
	if e.origin.Whole || e.conn != nil || upgrades(e.request) || body.err != nil && !body.ended || body.deadline.passed() {
		return nil
	}
	e.flushLast()
	defer e.server.flushes.Stop(&e.flush)
	e.server.drains.Start(&e.timeout, drainTime, e, (*exchange).interruptReceive)
	defer e.server.drains.Stop(&e.timeout)
	for dropped := 0; dropped <= drainBytes; {
		frame, err := body.frames.next()
		if err == nil && frame != nil {
			err = body.take(frame)
			dropped += len(frame.GetData())
		}
		switch {
		case err != nil && err.Public:
			return err // it sent what it must not
		case err != nil, frame == nil:
			return nil // half-closed, gone, or slow
		}
	}
	return nil
}

// flushTime is how long the end of a response waits for the end of the RPC, so that
// both go out together: longer than it takes a client that half-closes with the
// end of its request, too short to be noticed where one does not.
const flushTime = 250 * time.Microsecond

// flushLast has the last frame sent, which the stream may hold back, before the
// end of the RPC is waited for.
func (e *exchange) flushLast() {
	holding, ok := e.stream.(HoldingStream)
	switch {
	case !ok:
	case !e.body.frames.ended:
		e.sending.Store(true)
		holding.FlushLast()
	case holding.Holds():
		e.server.flushes.Start(&e.flush, flushTime, e, func(e *exchange) { go e.flushHeld() })
	}
}

// flushHeld runs beside drain. Flushing waits for the client to read, and the
// exchange's deadline ends that.
func (e *exchange) flushHeld() {
	e.sending.Store(true)
	if e.expired() == nil {
		e.stream.(HoldingStream).FlushLast()
	}
}
