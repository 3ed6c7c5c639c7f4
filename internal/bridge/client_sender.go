package bridge

import (
	"io"
	"sync"
	"time"

	culvertv1 "github.com/culvert-http/culvert/api/culvert/v1"
)

// maxKept is how much of a body is kept while it may have to be sent again.
const maxKept = MaxData

// clientSender moves the body of a request into the stream, on a goroutine of
// its own. It outlives a try that the server did not start: the next one begins
// with what was kept of it.
type clientSender struct {
	exchange *clientExchange
	body     *clientBody
	// handshake says that the server tells when it has accepted the exchange, and
	// that no more than what can be kept is sent before.
	handshake bool
	running   bool // of the exchange's goroutine alone

	sendMu sync.Mutex // held while sending; guards what follows
	stream ClientStream
	frame  culvertv1.RequestFrame
	kept   []byte
	keptIn clientBuffer
	ended  bool // the end was sent, or has to be with what is kept
	fields []*culvertv1.Field

	mu      sync.Mutex // guards what follows; never held while sending
	wake    sync.Cond
	held    bool // until a 100 or something else lets the body go
	keeping bool
	stopped bool
	done    bool // all was sent
	try     int
}

func newClientSender(x *clientExchange, body *clientBody) *clientSender {
	s := &clientSender{
		exchange:  x,
		body:      body,
		handshake: x.carrier.Duplex,
		keeping:   true,
		held:      x.carrier.Duplex && x.client.ContinueTimeout > 0 && expectsContinue(x.request.request),
	}
	s.wake.L = &s.mu
	return s
}

// begin starts a try on a stream: with the head, and with what was kept of the
// try before, for which it can be told to wait no longer.
func (s *clientSender) begin(stream ClientStream, head *culvertv1.RequestHead) error {
	s.sendMu.Lock()
	defer s.sendMu.Unlock()
	s.stream = stream
	s.mu.Lock()
	s.try++
	s.wake.Broadcast()
	s.mu.Unlock()
	return s.transmit(&culvertv1.RequestFrame{Head: head, Data: s.kept, End: s.ended, Trailers: s.fields})
}

func (s *clientSender) transmit(frame *culvertv1.RequestFrame) error {
	if err := s.stream.Send(frame); err != nil {
		return err
	}
	if frame.GetHead() != nil {
		s.exchange.trace.wroteHeaders()
	}
	if !frame.GetEnd() {
		return nil
	}
	s.mu.Lock()
	s.done = true
	s.mu.Unlock()
	s.exchange.trace.wroteRequest(nil)
	return s.stream.CloseSend()
}

// run sends the body, from its beginning to its end or to the end of the
// exchange, and closes it.
func (s *clientSender) run() {
	defer s.body.close()
	err := s.sendBody()
	if err == nil {
		return
	}
	switch {
	case s.isStopped(): // which closes the body
		err = errBodyNotSent
	case err != errBodyNotSent:
		_ = s.exchange.abort(bodyError(err))
	}
	s.exchange.trace.wroteRequest(s.exchange.reasonOr(err))
}

// sendBody sends the body. It returns the errors of the body, or errBodyNotSent.
func (s *clientSender) sendBody() error {
	if !s.awaitContinue() {
		return errBodyNotSent
	}
	for read := s.body.read; len(read) > 0; {
		part := read[:min(len(read), MaxData)]
		read = read[len(part):]
		end := len(read) == 0 && s.body.whole
		if !s.send(part, end) {
			return errBodyNotSent
		}
		if end {
			return nil
		}
	}
	s.body.read = nil
	return s.copy()
}

// copy sends what is left of the body.
func (s *clientSender) copy() error {
	var buffer clientBuffer
	defer buffer.put()
	for {
		data := buffer.get()
		data = data[:s.awaitRoom(len(data))]
		if len(data) == 0 {
			return errBodyNotSent
		}
		n, err := s.body.source.Read(data)
		s.body.count += int64(n)
		if err == nil && s.body.count == s.body.length && n < len(data) {
			// This is all that was declared. If it is all that there is, the end can go
			// with it.
			var extra int
			extra, err = s.body.source.Read(data[n:])
			n += extra
			s.body.count += int64(extra)
		}
		if err != nil && err != io.EOF {
			return err
		}
		if mismatch := s.body.checkLength(err == io.EOF); mismatch != nil {
			return mismatch
		}
		if n == 0 && err == nil {
			continue
		}
		if !s.send(data[:n], err == io.EOF) {
			return errBodyNotSent
		}
		if err == io.EOF {
			return nil
		}
		buffer.adapt(n)
	}
}

// awaitContinue holds the body back until the server asks for it, or for a time.
// It reports whether the body is to be sent.
func (s *clientSender) awaitContinue() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.held {
		s.exchange.trace.wait100Continue()
		defer time.AfterFunc(s.exchange.client.ContinueTimeout, s.proceed).Stop()
	}
	for s.held && !s.stopped {
		s.wake.Wait()
	}
	return !s.stopped
}

// proceed lets a body go that is held back.
func (s *clientSender) proceed() {
	s.mu.Lock()
	s.held = false
	s.wake.Broadcast()
	s.mu.Unlock()
}

// decline gives a body up that is still held back.
func (s *clientSender) decline() {
	s.mu.Lock()
	held := s.held
	s.mu.Unlock()
	if held {
		s.stop()
	}
}

// accepted says that the exchange has started: nothing is sent again.
func (s *clientSender) accepted() {
	s.mu.Lock()
	s.keeping = false
	s.wake.Broadcast()
	s.mu.Unlock()
}

// stop ends the sending, wherever it is.
func (s *clientSender) stop() {
	s.mu.Lock()
	s.stopped = true
	s.wake.Broadcast()
	s.mu.Unlock()
	s.body.close()
}

func (s *clientSender) isStopped() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stopped
}

func (s *clientSender) isDone() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.done
}

// canResend reports whether all that was sent is still there.
func (s *clientSender) canResend() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.keeping && !s.stopped
}

// send passes a part of the body on, and reports whether to go on.
func (s *clientSender) send(data []byte, end bool) bool {
	s.sendMu.Lock()
	s.frame.Data, s.frame.End, s.frame.Trailers = data, end, nil
	if end {
		s.frame.Trailers = encodeFields(trailerSection, s.exchange.request.request.Trailer)
	}
	try := s.keep()
	err := s.transmit(&s.frame)
	s.frame.Data = nil
	s.sendMu.Unlock()
	if err == nil {
		return true
	}
	return s.awaitResend(try, err)
}

// awaitRoom waits until something may be sent, and returns how much of size: as
// much as can be kept, unless nothing has to be. It returns 0 if nothing is to be
// sent any more.
func (s *clientSender) awaitRoom(size int) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		switch {
		case s.stopped:
			return 0
		case !s.keeping || !s.handshake:
			return size
		case len(s.kept) < maxKept:
			return min(size, maxKept-len(s.kept))
		}
		s.wake.Wait()
	}
}

// keep remembers the frame that is going to be sent, and returns the try that it
// belongs to.
func (s *clientSender) keep() (try int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.kept)+len(s.frame.GetData()) > maxKept {
		s.keeping = false
	}
	if !s.keeping {
		s.kept = nil
		s.keptIn.put()
		return s.try
	}
	s.kept = s.keptIn.appendTo(s.kept, s.frame.GetData())
	s.ended, s.fields = s.frame.GetEnd(), s.frame.GetTrailers()
	return s.try
}

// awaitResend waits for what becomes of a try in which something could not be
// sent. What was kept is sent by the next try.
func (s *clientSender) awaitResend(try int, err error) bool {
	s.mu.Lock()
	for s.try == try && s.keeping && !s.stopped {
		s.wake.Wait()
	}
	resent := s.try != try && !s.stopped
	stopped := s.stopped
	s.mu.Unlock()
	if !resent && !stopped && err != io.EOF {
		_ = s.exchange.abort(s.exchange.explain(err))
	}
	return resent
}
