package culvert

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"connectrpc.com/connect"

	culvertv1 "github.com/culvert-http/culvert/api/culvert/v1"
	"github.com/culvert-http/culvert/internal/bridge"
	"github.com/culvert-http/culvert/internal/wire"
)

// plainTimeout returns the timeout of an Exchange that connect is not needed for,
// 0 if it has none: plain, and in gRPC. It takes the way around connect, which has
// memory, maps and copies for every call. What is not as usual connect makes sense of.
func (c *rpc) plainTimeout() (timeout time.Duration, plain bool) {
	r := c.request
	if c.peer.Method != "Exchange" || r.Method != http.MethodPost || r.ProtoMajor < 2 || !isPlain(c) {
		return 0, false
	}
	types := r.Header["Content-Type"]
	if len(types) != 1 || strings.TrimSuffix(types[0], "+proto") != "application/grpc" {
		return 0, false
	}
	if values := r.Header["Grpc-Timeout"]; len(values) > 0 {
		return parseGRPCTimeout(values[0])
	}
	return 0, true
}

// parseGRPCTimeout is the inverse of grpcTimeout, for times that are not 0.
func parseGRPCTimeout(text string) (timeout time.Duration, ok bool) {
	if len(text) < 2 || len(text) > 9 {
		return 0, false
	}
	digits, unit := text[:len(text)-1], text[len(text)-1]
	at := strings.IndexByte("numSMH", unit)
	n, err := strconv.ParseUint(digits, 10, 31)
	if err != nil || at < 0 || n == 0 {
		return 0, false
	}
	size := [...]time.Duration{time.Nanosecond, time.Microsecond, time.Millisecond, time.Second, time.Minute, time.Hour}[at]
	timeout = time.Duration(n) * size
	return timeout, timeout/size == time.Duration(n)
}

// Values of fields that are the same in all responses.
var (
	acceptedCodings = []string{"gzip"}
	statusOfOK      = []string{"0"}
)

const trailerOfStatus = http.TrailerPrefix + "Grpc-Status"

// servePlain serves an Exchange whose timeout plainTimeout has returned.
func (c *rpc) servePlain(timeout time.Duration) {
	header := c.writer.Header()
	header["Content-Type"] = c.request.Header["Content-Type"]
	header["Grpc-Accept-Encoding"] = acceptedCodings
	ctx := c.request.Context()
	if timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, timeout)
		defer cancel()
	}
	stream := &c.memory.stream
	stream.plainReceiver.call, stream.sender.call = c, c
	defer stream.release()
	err := c.serve(ctx, connect.Peer{Protocol: connect.ProtocolGRPC}, stream, bridge.Origin{Streaming: true})
	if c.holds.Load() {
		// The end comes right after it. Left to net/http, it would need a deadline.
		_ = c.control.Flush()
	}
	if err == nil {
		header[trailerOfStatus] = statusOfOK
	} else {
		c.endWith(err)
	}
	_ = c.body.Close()
}

// endWith ends the RPC with an error. After a message that is all in the trailers.
func (c *rpc) endWith(err error) {
	if !c.wrote {
		_ = c.handler.errors.Write(c.writer, c.request, err)
		return
	}
	kept := headerKeeper{}
	_ = c.handler.errors.Write(kept, c.request, err)
	header := c.writer.Header()
	for name, values := range kept {
		if name != "Content-Type" && name != "Trailer" {
			header[http.TrailerPrefix+name] = values
		}
	}
}

// headerKeeper is a ResponseWriter that keeps the header section, and nothing else.
type headerKeeper http.Header

func (k headerKeeper) Header() http.Header       { return http.Header(k) }
func (headerKeeper) Write(p []byte) (int, error) { return len(p), nil }
func (headerKeeper) WriteHeader(int)             {}

// plainExchange is the stream of an Exchange around connect.
type plainExchange struct {
	plainReceiver
	sender
}

// plainReceiver is a receiver around connect.
type plainReceiver struct {
	call   *rpc
	prefix [envelopePrefix]byte
	reader wire.Reader
	memory bodyBuffer
}

// Receive implements bridge.ServerStream.
func (r *plainReceiver) Receive(frame *culvertv1.RequestFrame) error {
	r.release()
	body := r.call.body
	if _, err := io.ReadFull(body, r.prefix[:]); err != nil { // the body has looked at it
		return plainError(err)
	}
	message, err := r.read(int(binary.BigEndian.Uint32(r.prefix[1:])))
	if err != nil {
		return plainError(err)
	}
	if r.reader.Request(message, frame) != nil {
		return &Error{Cause: culvertv1.Cause_CAUSE_MALFORMED_REQUEST, Err: errNotARequest, Public: true}
	}
	return nil
}

var errNotARequest = errors.New("not a message of the type culvert.v1.RequestFrame")

// read reads a message. One that is announced and does not come costs little
// memory.
func (r *plainReceiver) read(size int) ([]byte, error) {
	body := r.call.body
	if message := body.inPlace(size); message != nil || size == 0 {
		return message, nil
	}
	message, read := r.memory.grow(nil, size), 0
	for {
		n, err := io.ReadFull(body, message[read:])
		read += n
		if err != nil || read == size {
			return message, err
		}
		message = r.memory.grow(message, size)
	}
}

// plainError is receiveError for what connect has not seen.
func plainError(err error) error {
	_, tooLong := errors.AsType[*http.MaxBytesError](err) // of a middleware
	switch {
	case tooLong:
		return &Error{Cause: culvertv1.Cause_CAUSE_REQUEST_BODY_TOO_LARGE, Err: err, Public: true}
	case errors.Is(err, os.ErrDeadlineExceeded):
		return &Error{Cause: culvertv1.Cause_CAUSE_DEADLINE_EXCEEDED, Err: err}
	default:
		return receiveError(err)
	}
}

// Release implements bridge.Releaser.
func (r *plainReceiver) Release() { r.reader.Release() }

func (r *plainReceiver) release() {
	r.reader.Release()
	r.memory.release()
}

// InterruptReceive implements bridge.ServerStream.
func (r *plainReceiver) InterruptReceive() { r.call.InterruptReceive() }

// write sends a frame around connect.
func (c *rpc) write(frame *culvertv1.ResponseFrame) error {
	const head = 1 << 10 // more need memory of their own
	size := envelopePrefix + len(frame.GetData()) + 64
	if frame.GetHead() != nil || len(frame.GetTrailers()) > 0 || len(frame.GetInformational()) > 0 {
		size += head
	}
	var memory bodyBuffer
	message := wire.AppendResponse(memory.room(size)[:envelopePrefix], frame)
	sealEnvelope(message, 0)
	c.wrote = true
	_, err := c.writer.Write(message)
	memory.release()
	if err != nil {
		return err
	}
	if !c.holds.Load() {
		_ = c.control.Flush() // what is wrong shows at the next write, or at the end
	}
	return nil
}
