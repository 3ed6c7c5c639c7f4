package culvert

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	culvertv1 "github.com/culvert-http/culvert/api/culvert/v1"
	"github.com/culvert-http/culvert/internal/bridge"
	"github.com/culvert-http/culvert/internal/wire"
)

// Both codecs of the handlers pass what they cannot read on to the methods, as a
// mark in an empty message. An error that they return would end the RPC in
// connect, without the detail that says what went wrong, and unseen by the
// observer.

// protoCodec is the binary form.
type protoCodec struct{}

func (protoCodec) Name() string { return "proto" }

func (protoCodec) Marshal(message any) ([]byte, error) {
	return protoCodec{}.MarshalAppend(nil, message)
}

// MarshalAppend lets connect use its buffers again.
func (protoCodec) MarshalAppend(dst []byte, message any) ([]byte, error) {
	if frame, ok := message.(*culvertv1.ResponseFrame); ok {
		return wire.AppendResponse(dst, frame), nil
	}
	m, ok := message.(proto.Message)
	if !ok {
		return nil, errNotProto(message)
	}
	return proto.MarshalOptions{}.MarshalAppend(dst, m)
}

func (protoCodec) Unmarshal(data []byte, message any) error {
	if request, ok := message.(*requestMessage); ok {
		if request.reader.Request(data, request.RequestFrame) != nil {
			mark(request.RequestFrame, "not a message of the type culvert.v1.RequestFrame")
		}
		request.Data = request.data.keep(request.Data) // connect uses its buffer again
		return nil
	}
	m, ok := message.(proto.Message)
	if !ok {
		return errNotProto(message)
	}
	if _, ok := m.(*culvertv1.SessionRequest); ok {
		// A session reads its frames itself, so that it need not make messages of them.
		m.ProtoReflect().SetUnknown(append(m.ProtoReflect().GetUnknown()[:0], data...))
		return nil
	}
	if err := proto.Unmarshal(data, m); err != nil {
		mark(m, "not a message of the type "+string(m.ProtoReflect().Descriptor().FullName()))
	}
	return nil
}

// jsonCodec is the JSON form. It is strict: in Connect's own, which drops unknown
// keys, {"methdo":"DELETE"} is a GET.
type jsonCodec struct{ name string }

func (c jsonCodec) Name() string { return c.name }

func (jsonCodec) Marshal(message any) ([]byte, error) {
	m, ok := message.(proto.Message)
	if !ok {
		return nil, errNotProto(message)
	}
	if batch, ok := m.(*culvertv1.SessionResponse); ok {
		m = &culvertv1.SessionResponse{}
		if err := proto.Unmarshal(batch.ProtoReflect().GetUnknown(), m); err != nil {
			return nil, err
		}
	}
	return protojson.Marshal(m)
}

func (jsonCodec) Unmarshal(data []byte, message any) error {
	if request, ok := message.(*requestMessage); ok {
		message = request.RequestFrame
	}
	m, ok := message.(proto.Message)
	if !ok {
		return errNotProto(message)
	}
	if len(data) == 0 {
		mark(m, "an empty body is not JSON: the least is {}")
		return nil
	}
	if err := (protojson.UnmarshalOptions{RecursionLimit: maxJSONDepth}).Unmarshal(data, m); err != nil {
		mark(m, jsonErrorText(err))
		return nil
	}
	if batch, ok := m.(*culvertv1.SessionRequest); ok {
		binary, err := proto.Marshal(batch)
		if err != nil {
			return err
		}
		proto.Reset(batch)
		batch.ProtoReflect().SetUnknown(binary)
	}
	return nil
}

// jsonErrorText is what an error of protojson says without its prefix, whose
// space is sometimes one and sometimes another, on purpose.
func jsonErrorText(err error) string {
	return strings.TrimLeft(strings.TrimPrefix(err.Error(), "proto:"), " \u00a0")
}

// maxJSONDepth is deeper than any message of the service.
const maxJSONDepth = 32

func errNotProto(message any) error { return fmt.Errorf("%T is not a protobuf message", message) }

// markNumber is the number of the unknown field that marks a message. It is of
// those that no .proto may use.
const markNumber protowire.Number = 19_999

func mark(message proto.Message, text string) {
	proto.Reset(message)
	field := protowire.AppendTag(nil, markNumber, protowire.BytesType)
	message.ProtoReflect().SetUnknown(protowire.AppendString(field, text))
}

// unmarshalError returns what the mark of a message says, nil if it has none. A
// client that sends a mark of its own gets what it asked for.
func unmarshalError(message proto.Message) *Error {
	unknown := message.ProtoReflect().GetUnknown()
	if len(unknown) == 0 {
		return nil
	}
	number, kind, n := protowire.ConsumeTag(unknown)
	if number != markNumber || kind != protowire.BytesType {
		return nil
	}
	text, _ := protowire.ConsumeString(unknown[n:])
	return &Error{Cause: culvertv1.Cause_CAUSE_MALFORMED_REQUEST, Err: errors.New(text), Public: true}
}

// receiveError is fromReceive for where io.EOF means a half-close.
func receiveError(err error) error {
	if errors.Is(err, io.EOF) {
		return io.EOF
	}
	return fromReceive(err)
}

// codecs are the options that set Culvert's own codecs.
func codecs() connect.HandlerOption {
	return connect.WithHandlerOptions(
		connect.WithCodec(protoCodec{}),
		connect.WithCodec(jsonCodec{name: "json"}),
		connect.WithCodec(jsonCodec{name: "json; charset=utf-8"}),
	)
}

var _ bridge.ServerStream = struct {
	*receiver
	sender
}{}
