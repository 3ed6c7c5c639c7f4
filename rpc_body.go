package culvert

import (
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/textproto"
	"os"
	"reflect"
	"strings"
	"sync/atomic"
	"time"

	"connectrpc.com/connect"

	culvertv1 "github.com/culvert-http/culvert/api/culvert/v1"
	"github.com/culvert-http/culvert/internal/framing"
)

// rpcBody is the body of an RPC. It stops where something is announced that is
// against the rules: connect would read on, however long that takes, to tell more
// of it, and would not name the cause.
type rpcBody struct {
	io.ReadCloser
	call       *rpc
	most       int64 // bytes a message
	enveloped  bool
	compressed bool // messages may be
	single     bool // there must be one message

	messages framing.Track
	allowed  int64 // bytes, where there are no envelopes

	begun bool // a message has
	ended bool // all of the body was read
	err   error

	ahead *readAhead // what the next Read gets, nil if it is to read by itself

	// Reading a little from net/http's HTTP/2 costs as much as reading a lot: held is
	// what was read and not asked for, in room.
	buffers bool
	held    []byte
	heldErr error // after held
	room    [1 << 10]byte

	arrived atomic.Int64 // bytes
}

// start makes b the body of a call, whose messages have at most most bytes. single
// says that the method takes one message.
func (b *rpcBody) start(call *rpc, most int, single bool) {
	r := call.request
	b.ReadCloser, b.call, b.most, b.single, b.buffers = r.Body, call, int64(most), single, r.ProtoMajor >= 2
	encoding := ""
	switch contentType := r.Header.Get("Content-Type"); {
	case strings.HasPrefix(contentType, "application/grpc"):
		b.enveloped, encoding = true, r.Header.Get("Grpc-Encoding")
	case strings.HasPrefix(contentType, "application/connect+"):
		b.enveloped, encoding = true, r.Header.Get("Connect-Content-Encoding")
	default:
		b.allowed = b.most
	}
	b.compressed = encoding != "" && encoding != "identity"
}

// Read implements io.Reader.
func (b *rpcBody) Read(p []byte) (int, error) {
	if b.err != nil {
		return 0, b.err
	}
	n, err := b.read(p)
	b.arrived.Add(int64(n))
	b.ended = errors.Is(err, io.EOF)
	switch {
	case b.enveloped:
		b.follow(p[:n])
		if b.ended && b.err == nil {
			b.err = b.incomplete()
		}
	case int64(n) > b.allowed:
		b.err = toRPC(tooLarge(b.most))
	default:
		b.allowed -= int64(n)
	}
	switch {
	case b.err != nil || err == nil:
	case isOfChunks(b.call.request, err):
		b.err = toRPC(malformedBody("the chunks of the request's body are malformed"))
	case b.single:
		b.err = lostBody(err)
	}
	if b.err != nil {
		if b.single {
			b.call.closeAfter() // connect ends the call
		}
		return 0, b.err
	}
	return n, err
}

func (b *rpcBody) read(p []byte) (int, error) {
	switch {
	case b.ahead != nil && len(p) > 0:
		ahead := b.ahead
		b.ahead = nil
		return ahead.take(p)
	case b.ahead != nil:
		return 0, nil
	case b.call.interrupted.Load(): // HTTP/2 would first give out what has come
		return 0, os.ErrDeadlineExceeded
	case len(b.held) > 0:
		n := copy(p, b.held)
		b.held = b.held[n:]
		return n, nil
	case b.heldErr != nil:
		return 0, b.heldErr
	case b.buffers && len(p) < len(b.room):
		n, err := b.ReadCloser.Read(b.room[:])
		b.held, b.heldErr = b.room[:n], err
		n = copy(p, b.held)
		b.held = b.held[n:]
		if len(b.held) > 0 {
			err = nil
		}
		return n, err
	default:
		return b.ReadCloser.Read(p)
	}
}

// inPlace is a Read of n bytes, all of one message, that are there already. They
// are valid until the next Read. It returns nil if they are not.
func (b *rpcBody) inPlace(n int) []byte {
	if b.err != nil || len(b.held) < n || b.call.interrupted.Load() {
		return nil
	}
	p := b.held[:n]
	b.held = b.held[n:]
	b.arrived.Add(int64(n))
	b.follow(p)
	return p
}

// Close implements io.Closer. It does not wait for what still comes.
func (b *rpcBody) Close() error {
	b.call.stopReading()
	return b.ReadCloser.Close()
}

// isOfChunks reports whether reading a body has failed because its chunks, or the
// trailers behind them, are malformed. net/http has no names for those errors,
// which are its only ones without one; what the connection reports has a type.
func isOfChunks(r *http.Request, err error) bool {
	if r.ProtoMajor != 1 || len(r.TransferEncoding) == 0 {
		return false
	}
	var ofTrailer textproto.ProtocolError
	switch {
	case errors.As(err, &ofTrailer):
		return true
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, http.ErrBodyReadAfterClose):
		return false
	default:
		return reflect.TypeOf(err) == reflect.TypeOf(http.ErrBodyReadAfterClose) // of a text alone
	}
}

// lostBody names an error of the transport's, nil if it needs no name.
func lostBody(err error) error {
	var tooLong *http.MaxBytesError // of a middleware, and connect has a code for it
	var named *connect.Error
	switch {
	case errors.As(err, &named):
		return err
	case errors.Is(err, io.EOF), errors.As(err, &tooLong):
		return nil
	case errors.Is(err, os.ErrDeadlineExceeded):
		return toRPC(&Error{
			Cause: culvertv1.Cause_CAUSE_DEADLINE_EXCEEDED, Err: errors.New("the message did not arrive in time"), Public: true,
		})
	default:
		return toRPC(&Error{Cause: culvertv1.Cause_CAUSE_CANCELED, Err: err})
	}
}

// follow keeps track of where messages begin.
func (b *rpcBody) follow(p []byte) {
	for rest, begun := b.messages.Next(framing.Envelopes, p); begun; rest, begun = b.messages.Next(framing.Envelopes, rest) {
		if b.begin(); b.err != nil {
			return
		}
	}
}

// begin begins the message that the prefix announces.
func (b *rpcBody) begin() {
	const compressed = 1
	switch flags := b.messages.Header[0]; {
	case b.single && b.begun:
		b.err = toRPC(malformedBody("the method takes one message"))
	case flags&^compressed != 0:
		b.err = toRPC(malformedBody("the flags of a message are not known"))
	case flags == compressed && !b.compressed:
		b.err = toRPC(malformedBody("a message is compressed, and the header does not say how"))
	case b.messages.Left > b.most:
		b.err = toRPC(tooLarge(b.most))
	}
	b.begun = true
}

// incomplete says what is missing where the body ends, nil if nothing is.
func (b *rpcBody) incomplete() error {
	switch {
	case !b.messages.Between():
		return toRPC(malformedBody("the body ends inside a message"))
	case b.single && !b.begun:
		return toRPC(malformedBody("half-closed without a message"))
	default:
		return nil
	}
}

// failure is what the record of an RPC says that connect has ended before there
// was an exchange.
func (b *rpcBody) failure() *Error {
	if b.err != nil {
		return fromReceive(b.err)
	}
	return &Error{Err: errors.New("refused before the exchange began")}
}

func malformedBody(text string) *Error {
	return &Error{Cause: culvertv1.Cause_CAUSE_MALFORMED_REQUEST, Err: errors.New(text), Public: true}
}

func tooLarge(most int64) *Error {
	return &Error{
		Cause:  culvertv1.Cause_CAUSE_REQUEST_BODY_TOO_LARGE,
		Err:    fmt.Errorf("a message is over the limit of %d bytes", most),
		Public: true,
	}
}

// watchArrival interrupts a call whose one message does not arrive: when nothing
// has come for each, or not all of it in whole. It returns what stops the watch.
func (c *rpc) watchArrival(each, whole time.Duration) func() {
	began := time.Now()
	var seen int64
	var timer *time.Timer
	var stopped atomic.Bool
	timer = time.AfterFunc(math.MaxInt64, func() { // not before timer is set
		if stopped.Load() {
			return
		}
		if arrived := c.body.arrived.Load(); arrived > seen && (whole == 0 || time.Since(began) < whole) {
			seen = arrived
			timer.Reset(each)
			return
		}
		c.InterruptReceive()
	})
	timer.Reset(each)
	return func() {
		stopped.Store(true)
		timer.Stop()
	}
}
