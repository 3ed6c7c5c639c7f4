package clients

import (
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"connectrpc.com/connect"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	culvertv1 "github.com/culvert-http/culvert/api/culvert/v1"
	"github.com/culvert-http/culvert/internal/oracle"
)

// program is a client, on one protocol and version of HTTP.
type program struct {
	name string
	// cannot says why the client cannot carry a method at all.
	cannot map[string]string
	// run makes RPCs to the server at addr and returns how each went, in order.
	run func(tb testing.TB, addr string, calls []rpcCall) []rpcReply
}

const (
	noHTTP2     = "HTTP/1.1 cannot carry it"
	noStreaming = "browsers cannot stream a request"
)

func overHTTP1() map[string]string { return map[string]string{"Exchange": noHTTP2} }

func inBrowser() map[string]string {
	return map[string]string{"Upload": noStreaming, "Exchange": noStreaming}
}

// TestList has every client run every exchange of the list on every method that
// it can carry, and compares what comes back with plain HTTP.
func TestList(t *testing.T) {
	t.Parallel()
	list := readList(t)
	want := plain(t, listApp(), list)
	addr := serve(t, listApp())
	programs := allPrograms()
	table := newTable(list, programs)
	t.Cleanup(func() { // when all clients have come to their end
		t.Logf("\n%s", table)
		if t.Failed() {
			return
		}
		for _, gap := range table.gaps() {
			t.Errorf("neither carried nor explained: %s", gap)
		}
	})
	for i := range programs {
		program := &programs[i]
		t.Run(strings.ReplaceAll(program.name, "/", " "), func(t *testing.T) { // for -run, which splits at slashes
			t.Parallel()
			runList(t, program, addr, list, want, table)
		})
	}
}

// allPrograms are the clients of the list.
func allPrograms() []program {
	return slices.Concat(
		goPrograms(), curlPrograms(), grpcurlPrograms(), bufPrograms(), nodePrograms(), pythonPrograms(), browserPrograms(),
	)
}

// runList has one client run the list.
func runList(t *testing.T, program *program, addr string, list []listed, want []*culvertv1.HTTPResponse, table *table) {
	t.Helper()
	var calls []rpcCall
	for _, method := range methods {
		if program.cannot[method] == "" {
			for i := range list {
				calls = append(calls, list[i].call(t, method))
			}
		}
	}
	table.set(program.name, "", "", missing) // unless it comes to the end
	replies := program.run(t, addr, calls)
	if len(replies) != len(calls) {
		t.Fatalf("%d replies to %d calls", len(replies), len(calls))
	}
	table.set(program.name, "", "", "")
	for n := range calls {
		l, method := &list[n%len(list)], calls[n].Method
		result := ok
		if difference := l.compare(want[n%len(list)], method, &replies[n]); difference != "" {
			result = different
			t.Errorf("%s, %s: (-plain HTTP +tunnel)\n%s", l.Name, method, shortened(difference))
		}
		table.set(program.name, l.Name, method, result)
	}
}

// shortened keeps a difference readable where bodies are long.
func shortened(text string) string {
	const most = 2000
	if len(text) > most {
		text = text[:most] + "…"
	}
	return strings.ToValidUTF8(text, "?")
}

// goPrograms are the generated clients of Go.
func goPrograms() []program {
	var all []program
	for _, name := range []string{"connect", "connect json", "grpc", "grpc json", "grpc-web", "grpc-go"} {
		label := "connect-go, " + name
		if name == "grpc-go" {
			label = name
		}
		all = append(all, program{name: label, run: func(tb testing.TB, addr string, calls []rpcCall) []rpcReply {
			tb.Helper()
			service := services(tb, addr)[name]
			var replies []rpcReply
			for _, call := range calls {
				messages, err := callService(tb, service, call)
				replies = append(replies, goReply(tb, service, messages, err))
			}
			return replies
		}})
	}
	return all
}

// callService makes an RPC and returns the messages of its answer.
func callService(tb testing.TB, service oracle.Service, call rpcCall) ([]proto.Message, error) {
	tb.Helper()
	ctx := testContext(tb)
	if call.Method == "Call" {
		request := &culvertv1.HTTPRequest{}
		unmarshal(tb, call.Messages[0], request)
		response, err := service.Call(ctx, request)
		return []proto.Message{response}, err
	}
	var frames []*culvertv1.RequestFrame
	for _, message := range call.Messages {
		frame := &culvertv1.RequestFrame{}
		unmarshal(tb, message, frame)
		frames = append(frames, frame)
	}
	var stream oracle.Stream
	var err error
	switch call.Method {
	case "Upload":
		stream, err := service.Upload(ctx)
		if err != nil {
			return nil, err
		}
		if err := sendAll(stream.Send, frames); err != nil {
			return nil, err
		}
		response, err := stream.CloseAndReceive()
		return []proto.Message{response}, err
	case "Download":
		stream, err = service.Download(ctx, frames[0])
	default:
		if stream, err = service.Exchange(ctx); err == nil {
			err = errors.Join(sendAll(stream.Send, frames), stream.CloseSend())
		}
	}
	if err != nil {
		return nil, err
	}
	defer stream.Close()
	var messages []proto.Message
	for {
		frame, err := stream.Receive()
		if errors.Is(err, io.EOF) {
			return messages, nil
		} else if err != nil {
			return messages, err
		}
		messages = append(messages, frame)
	}
}

// sendAll sends frames until the RPC has ended.
func sendAll(send func(*culvertv1.RequestFrame) error, frames []*culvertv1.RequestFrame) error {
	for _, frame := range frames {
		if err := send(frame); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
	}
	return nil
}

func goReply(tb testing.TB, service oracle.Service, messages []proto.Message, err error) rpcReply {
	tb.Helper()
	if err == nil {
		return rpcReply{Messages: marshalAll(tb, messages...)}
	}
	code := connect.CodeOf(err)
	if status, ok := status.FromError(err); ok {
		code = connect.Code(status.Code())
	}
	return rpcReply{Code: int(code), Message: err.Error(), Cause: service.Cause(err)}
}

func unmarshal(tb testing.TB, text []byte, message proto.Message) {
	tb.Helper()
	if err := protojson.Unmarshal(text, message); err != nil {
		tb.Fatalf("%s: %v", text, err)
	}
}

// Results of an exchange by a method, beside the reasons why it is not carried.
const (
	ok        = "ok"
	different = "DIFFERENT"
	missing   = "not run"
)

func pad(text string, width int) string {
	return text + strings.Repeat(" ", max(0, width-utf8.RuneCountInString(text)))
}
