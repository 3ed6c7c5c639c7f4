package culvert

import (
	"encoding/binary"
	"math"
	"net/http"
	"strings"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"

	culvertv1 "github.com/culvert-http/culvert/api/culvert/v1"
)

// envelopePrefix is the size of what comes before each message of a stream, in all
// protocols alike: flags, and the length in four bytes.
const envelopePrefix = 5

// sessionCarrier moves the messages of a session on the server's side.
type sessionCarrier interface {
	// receive returns the next message, which is valid until the next call. At the
	// client's half-close it returns io.EOF.
	receive() ([]byte, error)
	// send sends a message, before which the first envelopePrefix bytes are free.
	send(message []byte) error
}

// newSessionCarrier returns the carrier of a call. Where its messages are what
// connect would make of them, they do not take the way through connect, which
// copies them.
func newSessionCarrier(call *rpc, conn connect.StreamingHandlerConn) sessionCarrier {
	through := &connectCarrier{conn: conn}
	if !isPlain(call) {
		return through
	}
	return &plainCarrier{call: call, first: through, messages: envelopeReader{
		from: call.body, most: call.handler.maxMessage(call.request.URL.Path),
	}}
}

// isPlain reports whether the messages of a call are protobuf, neither compressed
// nor seen by an interceptor.
func isPlain(call *rpc) bool {
	if call.body.compressed || len(call.handler.config.connectOptions) > 0 {
		return false
	}
	switch contentType := call.request.Header.Get("Content-Type"); contentType {
	case "application/grpc", "application/grpc-web":
		return true
	default:
		return strings.HasSuffix(contentType, "+proto")
	}
}

// connectCarrier is the way through connect.
type connectCarrier struct {
	conn     connect.StreamingHandlerConn
	incoming culvertv1.SessionRequest
	outgoing culvertv1.SessionResponse
}

func (c *connectCarrier) receive() ([]byte, error) {
	message := c.incoming.ProtoReflect()
	message.SetUnknown(message.GetUnknown()[:0]) // connect does not touch a message whose bytes are none
	if err := c.conn.Receive(&c.incoming); err != nil {
		return nil, receiveError(err)
	}
	if err := unmarshalError(&c.incoming); err != nil {
		return nil, err
	}
	if len(c.incoming.GetFrames()) > 0 { // by a codec of the user's
		binary, err := proto.Marshal(&c.incoming)
		proto.Reset(&c.incoming)
		return binary, err
	}
	return message.GetUnknown(), nil
}

func (c *connectCarrier) send(message []byte) error {
	c.outgoing.ProtoReflect().SetUnknown(message[envelopePrefix:])
	return c.conn.Send(&c.outgoing)
}

// plainCarrier is the way around connect, which has read the head of the RPC and
// writes that of the response, with the first message, and what follows the last.
type plainCarrier struct {
	call     *rpc
	first    *connectCarrier // nil once it was used
	messages envelopeReader
}

func (c *plainCarrier) receive() ([]byte, error) {
	_, message, err := c.messages.next() // its flags and its length were looked at by the body
	if err != nil {
		return nil, receiveError(err)
	}
	return message, nil
}

func (c *plainCarrier) send(message []byte) error {
	if first := c.first; first != nil {
		c.first = nil
		return first.send(message)
	}
	sealEnvelope(message, 0)
	return writeOut(c.call, message)
}

// writeOut sends a message of a call that is sealed.
func writeOut(call *rpc, message []byte) error {
	if _, err := call.writer.Write(message); err != nil {
		return err
	}
	if flusher, ok := call.writer.(http.Flusher); ok {
		flusher.Flush()
		return nil
	}
	return call.control.Flush()
}

// sealEnvelope fills in the prefix of a message.
func sealEnvelope(message []byte, flags byte) {
	message[0] = flags
	binary.BigEndian.PutUint32(message[1:envelopePrefix], uint32(min(len(message)-envelopePrefix, math.MaxUint32)))
}
