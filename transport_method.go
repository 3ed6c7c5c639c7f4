package culvert

import (
	"errors"
	"slices"
)

// Protocol is an RPC protocol.
type Protocol int

// The RPC protocols. Handlers understand all of them.
const (
	ProtocolGRPC Protocol = iota
	ProtocolGRPCWeb
	ProtocolConnect
)

// Method is an RPC method, or a way to choose one.
type Method int

// The RPC methods.
const (
	// MethodAuto takes Session over HTTP/2 if the server recommends that, and
	// Exchange until it has and otherwise. Over HTTP/1.1 it reads up to 1 MiB of
	// a request's body before it sends anything: if that is all, it takes Download,
	// else Upload, whose response is bounded.
	MethodAuto Method = iota
	// MethodSession carries many exchanges in one RPC, each with its own flow
	// control. It can do what Exchange can, and needs HTTP/2.
	MethodSession
	// MethodExchange streams both ways at once and can upgrade. It needs HTTP/2.
	MethodExchange
	// MethodDownload sends the request as one message and streams the response.
	MethodDownload
	// MethodUpload streams the request and receives the response as one message.
	MethodUpload
	// MethodCall sends one message each way.
	MethodCall
)

var (
	protocolNames = []string{"grpc", "grpc-web", "connect"}
	methodNames   = []string{"auto", "session", "exchange", "download", "upload", "call"}

	errUnknownProtocol = errors.New("unknown protocol: have grpc, grpc-web, connect")
	errUnknownMethod   = errors.New("unknown method: have auto, session, exchange, download, upload, call")
)

func (p Protocol) valid() bool { return p >= 0 && int(p) < len(protocolNames) }

// String returns the name of the protocol, as command lines have it.
func (p Protocol) String() string {
	if !p.valid() {
		return "unknown"
	}
	return protocolNames[p]
}

// UnmarshalText implements encoding.TextUnmarshaler. It takes what String gives.
func (p *Protocol) UnmarshalText(text []byte) error {
	i := slices.Index(protocolNames, string(text))
	if i < 0 {
		return errUnknownProtocol
	}
	*p = Protocol(i)
	return nil
}

// duplex reports whether the method streams both ways at once.
func (m Method) duplex() bool { return m == MethodSession || m == MethodExchange }

func (m Method) valid() bool { return m >= 0 && int(m) < len(methodNames) }

// String returns the name of the method, as command lines have it.
func (m Method) String() string {
	if !m.valid() {
		return "unknown"
	}
	return methodNames[m]
}

// UnmarshalText implements encoding.TextUnmarshaler. It takes what String gives.
func (m *Method) UnmarshalText(text []byte) error {
	i := slices.Index(methodNames, string(text))
	if i < 0 {
		return errUnknownMethod
	}
	*m = Method(i)
	return nil
}
