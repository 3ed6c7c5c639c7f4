// Package session multiplexes exchanges on one stream of messages, each with its
// own flow control. It knows the frames of docs/protocol.md and not the HTTP in
// them.
//
// A Session does no I/O and runs no goroutine of its own: whoever drives it hands
// it the messages that arrive (Deliver) and takes those that are to be sent
// (NextBatch). Both ends are the same but for who opens exchanges.
package session

import (
	"errors"
	"fmt"
	"sync"
	"time"

	culvertv1 "github.com/culvert-http/culvert/api/culvert/v1"
	"github.com/culvert-http/culvert/internal/resets"
)

// Windows that the protocol fixes, in bytes.
const (
	// MinWindow is what may be sent of an exchange before the other side's hello is
	// there.
	MinWindow = 256 << 10
	// SessionWindow is what may be sent in a session before more is granted.
	SessionWindow = 8 << 20
)

// DefaultMaxBytes is the default of what a session keeps, in bytes.
const DefaultMaxBytes = 64 << 20

// sizes are the sizes in bytes that the protocol fixes. Tests make them smaller.
type sizes struct {
	minWindow     int64 // MinWindow
	maxWindow     int64 // MaxWindow
	sessionWindow int64 // SessionWindow
	grant         int64 // the least credit that is given to a session
	batch         int   // from which on a message takes no more frames
	message       int   // of a message, unless one frame alone is longer
	part          int   // of a part, beside its head and trailers
}

var protocolSizes = sizes{
	minWindow:     MinWindow,
	maxWindow:     MaxWindow,
	sessionWindow: SessionWindow,
	grant:         64 << 10,
	batch:         256 << 10,
	message:       1 << 20,
	part:          512 << 10,
}

// maxAnswers is how many answers may wait to be sent, beside the refusals that a
// client can ask for that has not heard of them.
const maxAnswers = 1024

// Config is what one end of a session takes. Zero values are filled in by New.
type Config struct {
	// Server says which end this is.
	Server bool
	// Window is what the other end may send of an exchange before it gets credit, in
	// bytes; MinWindow if less, and at most 2^31-1.
	Window int64
	// MaxBytes bounds what is kept of parts that nobody has read, in bytes, but for
	// one part more; SessionWindow if less, and DefaultMaxBytes if 0.
	MaxBytes int64
	// MaxExchanges bounds the exchanges that the other end may have open, and that
	// Accept has not closed yet. Of a server.
	MaxExchanges int
	// MaxHeadBytes and MaxFields are told to the other end.
	MaxHeadBytes, MaxFields int
	// Recommended is told to the client.
	Recommended bool
	// Headroom is how many bytes each batch begins with that are the caller's to
	// fill.
	Headroom int
	// Patience bounds how long a part may wait for credit or its turn; 0 means no
	// bound. A part that waits longer ends with ErrStalled, and so do all after it of
	// its exchange.
	Patience time.Duration
	// Resets, if not nil, counts the exchanges that come to nothing: those that the
	// client resets, and those that it opens beyond MaxExchanges. Who calls Deliver asks
	// it for how long to wait before the next message. Of a server.
	Resets *resets.Count
	// Accept is called for each exchange that the client opens, in the order of
	// their numbers. It must not block. Of a server.
	Accept func(*Exchange)
	// OnHello is called when the other end's hello has arrived, before any exchange
	// is accepted. It must not call the session.
	OnHello func(*culvertv1.Hello)
	// OnDrain is called when the server takes no more exchanges. It must not call
	// the session. Of a client.
	OnDrain func()
}

// Session is one end of a session. Its methods may be called at the same time,
// but Deliver by one goroutine at a time only, and NextBatch by one only.
type Session struct {
	config Config
	sizes  sizes

	mu     sync.Mutex
	writer sync.Cond // the one who waits in NextBatch
	idle   sync.Cond // those who wait until no exchange is left

	incoming    frame       // that is being taken
	batch, sent []byte      // the message that is built, and the one that was taken
	answers     []answer    // what the other end has asked for, and credit does not bound
	grants      []*Exchange // those that are due credit
	departed    int         // exchanges that are closed, and the batch still says so
	batches     uint64      // how many were taken
	writing     bool        // sent is being sent
	holding     bool        // by the one who calls NextBatch
	silent      bool        // nothing can be sent
	postponed   bool        // a part is in the batch, and the writer was not woken yet
	waiting     queue       // exchanges that have a part to send, and credit for it

	exchanges map[uint64]*Exchange
	nextID    uint64 // of the exchanges that this end opens
	lastID    uint64 // of those that the other end has opened

	credit    int64 // what this end may send
	allowance int64 // what the other end may send
	held      int64 // of what it has sent, what nobody has read
	extra     int64 // what windows of exchanges have grown by

	began    time.Time
	pulse    pulse
	span     int         // counted while much is held
	nextSpan *time.Timer // until it is over

	hello      *culvertv1.Hello // the other end's
	draining   bool             // no more exchanges are opened or accepted
	halfClosed bool             // the other end sends no more
	closing    bool             // the session ends with its last exchange
	err        error            // of the whole session

	pings    map[uint64]chan struct{}
	nextPing uint64
}

// Errors of sessions. Those of single exchanges are *ResetError.
var (
	// ErrClosed is the error of everything on a session that has ended.
	ErrClosed = errors.New("session: closed")
	// ErrDraining is the error of Open when the session takes no more exchanges.
	ErrDraining = errors.New("session: draining")
	// ErrFull is the error of Open when the session has as many exchanges as it may
	// have.
	ErrFull = errors.New("session: too many exchanges")
	// ErrStopped is the error of Send when the other end wants no more of it.
	ErrStopped = errors.New("session: stopped by the other end")
	// ErrStalled is the error of Send when a part has waited for too long.
	ErrStalled = errors.New("session: nothing was taken for too long")
	// ErrInterrupted is the error of calls that Interrupt has ended.
	ErrInterrupted = errors.New("session: interrupted")
	// ErrPaused is the error of a Receive that PauseReceive has ended.
	ErrPaused = errors.New("session: paused")
)

// ViolationError is a breach of the protocol that ends the session.
type ViolationError struct{ text string }

// Error implements error.
func (e *ViolationError) Error() string { return "session: " + e.text }

func violation(format string, args ...any) error {
	return &ViolationError{fmt.Sprintf(format, args...)}
}

// New returns one end of a session, with its hello ready to be sent.
func New(config Config) *Session { return newSession(config, protocolSizes) }

func newSession(config Config, sizes sizes) *Session {
	config.Window = min(max(config.Window, sizes.minWindow), maxCredit)
	if config.MaxBytes == 0 {
		config.MaxBytes = DefaultMaxBytes
	}
	config.MaxBytes = max(config.MaxBytes, sizes.sessionWindow)
	s := &Session{
		config:    config,
		sizes:     sizes,
		began:     time.Now(),
		exchanges: make(map[uint64]*Exchange),
		nextID:    1,
		credit:    sizes.sessionWindow,
		allowance: sizes.sessionWindow,
		batch:     make([]byte, config.Headroom, config.Headroom+64),
	}
	s.writer.L = &s.mu
	s.idle.L = &s.mu
	s.appendControl(&culvertv1.ServerFrame{Hello: &culvertv1.Hello{
		Version:      1,
		Window:       uint64(config.Window),
		MaxExchanges: uint64(config.MaxExchanges),
		MaxHeadBytes: uint64(config.MaxHeadBytes),
		MaxFields:    uint64(config.MaxFields),
		Recommended:  config.Recommended,
	}})
	return s
}

// finished reports whether nothing will be sent any more.
func (s *Session) finished() bool {
	return s.closing && len(s.exchanges) == 0
}

// wakeWriter says that there is something to send. The one who waits looks for
// itself; one who is sending looks again when that is done.
func (s *Session) wakeWriter() {
	s.postponed = false
	if !s.writing {
		s.writer.Signal()
	}
}

// wakeSender lets the exchange that has waited longest try to send; it wakes the
// next one if there is still room. After a half-close none must wait for credit
// that does not come.
func (s *Session) wakeSender() {
	if s.waiting.first != nil && (s.hasRoom() || s.halfClosed) {
		s.waiting.first.sendable.Signal()
	}
}

// wakeWaiting has all who wait for their turn look again.
func (s *Session) wakeWaiting() {
	for x := s.waiting.first; x != nil; x = x.link.next {
		x.sendable.Broadcast()
	}
}

// hasRoom reports whether a frame may be added to the batch.
func (s *Session) hasRoom() bool { return s.pending() < s.sizes.batch && s.credit > 0 }

// pending returns how many bytes are in the batch.
func (s *Session) pending() int { return len(s.batch) - s.config.Headroom }

// Fail ends the session with an error, and all exchanges in it.
func (s *Session) Fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fail(err)
}

func (s *Session) fail(err error) {
	if s.err != nil {
		return
	}
	s.err = err
	for _, x := range s.exchanges {
		x.wake()
	}
	s.wakeWaiting()
	for _, pong := range s.pings {
		close(pong)
	}
	s.pings = nil
	s.writer.Broadcast()
	s.idle.Broadcast()
}

// Drain has a server accept no more exchanges, and tells the client which ones
// it has accepted.
func (s *Session) Drain() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.draining || s.err != nil {
		return
	}
	s.draining = true
	s.closing = true
	s.appendControl(&culvertv1.ServerFrame{Drain: &culvertv1.Drain{LastExchange: s.lastID}})
	s.wakeWriter()
}

// Close has a client open no more exchanges; the session ends with the last one.
func (s *Session) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.draining = true
	s.closing = true
	s.wakeWaiting()
	s.wakeWriter()
}

// Wait returns when no exchange is left, or the session has failed.
func (s *Session) Wait() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.exchanges) > 0 && s.err == nil {
		s.idle.Wait()
	}
}

// Load returns the number of exchanges that are open, whether more can be opened
// as far as this end knows, and whether they are better off in another session:
// much of these is unread, here or at the other end.
func (s *Session) Load() (exchanges int, open, crowded bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.exchanges), s.err == nil && !s.draining, s.isCrowded() || s.credit <= 0
}

// Hello returns what the other end's hello said, nil before it has arrived.
func (s *Session) Hello() *culvertv1.Hello {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.hello
}

// Err returns the error that the session has failed with, nil if it has not.
func (s *Session) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}
