package upstream

import (
	"maps"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// responseWriter writes to the client. It flushes when the one that writes has
// nothing more to write for the moment, and not before, so that what arrives
// together leaves together.
type responseWriter struct {
	w          http.ResponseWriter
	controller *http.ResponseController

	wroteHead atomic.Bool // the head of the final response

	mu           sync.Mutex // held while w is used
	unflushed    bool
	flushPending bool // a goroutine is on its way to flush
	finished     bool

	ending  sync.Mutex // held while the deadline is set
	hurried *time.Timer
	ended   bool
}

// informational sends an interim response. It borrows the header section, in
// which outer handlers may already have put fields for the final response.
func (rw *responseWriter) informational(status int, header http.Header) {
	rw.mu.Lock()
	defer rw.mu.Unlock()
	if rw.wroteHead.Load() || rw.finished {
		return
	}
	own := rw.w.Header()
	saved := maps.Clone(own)
	clear(own)
	copyEndToEnd(own, header)
	rw.w.WriteHeader(status)
	clear(own)
	maps.Copy(own, saved)
}

// head sends the head of the final response.
func (rw *responseWriter) head(status int, header http.Header, trailer string) {
	rw.mu.Lock()
	defer rw.mu.Unlock()
	own := rw.w.Header()
	copyEndToEnd(own, header)
	if status == http.StatusNoContent {
		delete(own, "Content-Length") // not allowed there [RFC 9110 § 8.6]
	}
	if trailer != "" {
		own["Trailer"] = []string{trailer}
	}
	// An entry without a value keeps net/http from adding what the upstream did not
	// send.
	for _, name := range [...]string{"Content-Length", "Content-Type", "Date"} {
		if _, ok := own[name]; !ok {
			own[name] = nil
		}
	}
	rw.wroteHead.Store(true)
	rw.w.WriteHeader(status)
	rw.flushSoon()
}

// Write implements io.Writer.
func (rw *responseWriter) Write(p []byte) (int, error) {
	rw.mu.Lock()
	defer rw.mu.Unlock()
	n, err := rw.w.Write(p)
	if err == nil {
		rw.flushSoon()
	}
	return n, err
}

// flushSoon starts a goroutine that flushes. The scheduler mostly runs it when the
// one that started it blocks, which is when it waits for the upstream; until
// then it may write more, and the flush covers that too.
func (rw *responseWriter) flushSoon() {
	rw.unflushed = true
	if !rw.flushPending {
		rw.flushPending = true
		go rw.flush()
	}
}

func (rw *responseWriter) flush() {
	rw.mu.Lock()
	defer rw.mu.Unlock()
	rw.flushPending = false
	if !rw.unflushed || rw.finished {
		return
	}
	rw.unflushed = false
	_ = rw.controller.Flush() // if it fails, so does the next write
}

// trailers sets the trailer section, of which some names were announced.
func (rw *responseWriter) trailers(trailer http.Header, wasAnnounced map[string]bool) {
	rw.mu.Lock()
	defer rw.mu.Unlock()
	own := rw.w.Header()
	for name := range wasAnnounced {
		delete(own, name) // a header field of that name is not the trailer's
	}
	for name, values := range trailer {
		switch {
		case len(values) == 0 || !forwardableTrailer(name):
		case wasAnnounced[name]:
			own[name] = values
		default:
			own[http.TrailerPrefix+name] = values
		}
	}
}

// stallGrace is how long a client has to take what was written, when there is no
// use in waiting for it any more.
const stallGrace = 100 * time.Millisecond

// hurry interrupts writing that goes on for much longer. Not at once: behind the
// tunnel that would end the stream on which the error is still to be sent.
func (rw *responseWriter) hurry() {
	rw.ending.Lock()
	defer rw.ending.Unlock()
	if rw.ended || rw.hurried != nil {
		return
	}
	rw.hurried = time.AfterFunc(stallGrace, func() {
		rw.ending.Lock()
		defer rw.ending.Unlock()
		if !rw.ended {
			_ = rw.controller.SetWriteDeadline(longAgo)
		}
	})
}

// finish returns when nothing uses the writer any more, and keeps later flushes
// away from it.
func (rw *responseWriter) finish() {
	rw.mu.Lock()
	rw.finished = true
	rw.mu.Unlock()
	rw.ending.Lock()
	defer rw.ending.Unlock()
	rw.ended = true
	if rw.hurried != nil {
		rw.hurried.Stop()
	}
}
