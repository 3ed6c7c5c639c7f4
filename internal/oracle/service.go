package oracle

import (
	"context"

	culvertv1 "github.com/culvert-http/culvert/api/culvert/v1"
)

// Service is a client of culvert.v1.HTTPService, of any RPC library. Its methods
// may be called concurrently.
type Service interface {
	Call(context.Context, *culvertv1.HTTPRequest) (*culvertv1.HTTPResponse, error)
	Upload(context.Context) (UploadStream, error)
	Download(context.Context, *culvertv1.RequestFrame) (Stream, error)
	Exchange(context.Context) (Stream, error)
	// Cause finds what the server has said about an error of the service.
	Cause(error) culvertv1.Cause
}

// UploadStream is the client's end of Upload.
type UploadStream interface {
	// Send returns io.EOF if the RPC has ended.
	Send(*culvertv1.RequestFrame) error
	CloseAndReceive() (*culvertv1.HTTPResponse, error)
}

// Stream is the client's end of Exchange, and of Download, whose sending side is
// closed. Sending and receiving may happen at the same time.
type Stream interface {
	// Send returns io.EOF if the RPC has ended.
	Send(*culvertv1.RequestFrame) error
	// CloseSend half-closes.
	CloseSend() error
	// Receive returns io.EOF if the RPC has ended with OK. A frame is the caller's.
	Receive() (*culvertv1.ResponseFrame, error)
	// Close ends the RPC, whatever goes on, and releases what it holds. It may be
	// called at any time, and more than once.
	Close()
}
