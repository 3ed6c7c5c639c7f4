// Package bridge turns HTTP into frames and frames into HTTP, in both
// directions. It knows nothing of the RPC that carries the frames: a stream of
// Connect's, of grpc-go's or of a session's fits its small interfaces.
package bridge

import (
	"errors"

	culvertv1 "github.com/culvert-http/culvert/api/culvert/v1"
)

// ServerStream is what the bridge needs of a server's end of a stream. Receive
// and Send may run at the same time, but neither runs twice at once.
type ServerStream interface {
	// Receive reads the next message into frame, which may hold an earlier one.
	// It returns io.EOF after the client's half-close. What it puts into
	// frame.Data may be overwritten by the next call.
	Receive(frame *culvertv1.RequestFrame) error
	// Send writes a message, and is done with it when it returns.
	Send(frame *culvertv1.ResponseFrame) error
	// InterruptReceive ends every call of Receive, now and from now on, with an
	// error. It may be called at any time until the exchange ends, by anybody, more
	// than once, and does not block.
	InterruptReceive()
	// InterruptSend does the same to Send.
	InterruptSend()
}

// MultiplexedStream is a ServerStream that is an exchange of a session.
type MultiplexedStream interface {
	ServerStream
	// OnEnd has End called, once, with the reason when the stream fails. It must
	// not call the stream, and must not block.
	OnEnd(ender interface{ End(err error) })
	LastSender
}

// PausingStream is a ServerStream whose Receive can be called away, and loses
// nothing by that.
type PausingStream interface {
	ServerStream
	// PauseReceive has the Receive that waits return ErrPaused, or else the next one
	// that would have to. It may be called at any time, by anybody, and does not
	// block.
	PauseReceive()
}

// ErrPaused is what Receive returns after PauseReceive.
var ErrPaused = &Error{Err: errors.New("receiving is paused")}

// LastSender is a ServerStream that can send its last frame together with what
// follows Serve.
type LastSender interface {
	// SendLast is Send for the frame with the end of a response, when the handler
	// has returned. It may be sent when Serve has returned.
	SendLast(frame *culvertv1.ResponseFrame) error
}

// HoldingStream is a ServerStream that may hold the last frame back.
type HoldingStream interface {
	LastSender
	// Holds reports whether SendLast has held something back that waits for the end of
	// Serve, or for FlushLast.
	Holds() bool
	// FlushLast sends what SendLast has held back. It may be called at any time.
	FlushLast()
}

// BulkSender is a ServerStream whose messages are sent one by one, so that few
// large ones are better than many.
type BulkSender interface {
	ServerStream
	// SendInPlace is Send for a frame whose data is message[BulkHeadroom:], which may
	// be sent from there. What is before it may be written to.
	SendInPlace(frame *culvertv1.ResponseFrame, message []byte) error
}

// MaxData is how much of a body one message carries at most, in bytes, so that a
// message stays under 1 MiB and any language's default receiver takes it.
const MaxData = 256 << 10

// Releaser is a stream that holds memory for what it has received.
type Releaser interface {
	// Release lets go of all that the last frame holds but its data. It is called
	// by the one who receives, before something else is waited for.
	Release()
}

// release has a stream let go of what is not needed any more, if it holds
// anything.
func release(stream any) {
	if releaser, ok := stream.(Releaser); ok {
		releaser.Release()
	}
}

// ClientStream is what the bridge needs of a client's end of a stream. Receive
// may run at the same time as Send and CloseSend, but neither side runs twice at
// once.
type ClientStream interface {
	// Send writes a message, and is done with it when it returns. It returns
	// io.EOF if the stream has ended; Receive then tells why.
	Send(frame *culvertv1.RequestFrame) error
	// CloseSend half-closes.
	CloseSend() error
	// Receive reads the next message into frame, which may hold an earlier one. It
	// returns io.EOF after the RPC ended with the code OK, and an *Error if it
	// ended otherwise. What it puts into frame.Data may be overwritten by the next
	// call.
	Receive(frame *culvertv1.ResponseFrame) error
	// Interrupt ends every call, now and from now on, with an error, and releases
	// all that the stream holds at both ends. It may be called at any time, by
	// anybody, more than once, and does not block.
	Interrupt()
}
