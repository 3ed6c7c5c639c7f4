package clients

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/types/descriptorpb"

	culvertv1 "github.com/culvert-http/culvert/api/culvert/v1"
)

// tool runs a program with something to read, and returns what it prints. That
// it says that it failed is for the caller to judge.
func tool(tb testing.TB, stdin []byte, path string, args ...string) (stdout, stderr []byte, failed bool) {
	tb.Helper()
	// A program may run the whole list, beside others that do.
	ctx, cancel := context.WithTimeout(tb.Context(), 5*patience)
	defer cancel()
	command := exec.CommandContext(ctx, path, args...)
	command.WaitDelay = patience // what it has started may keep its output open
	var out, complaints bytes.Buffer
	command.Stdin, command.Stdout, command.Stderr = bytes.NewReader(stdin), &out, &complaints
	err := command.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		tb.Fatalf("run %s: %v", path, err)
	}
	return out.Bytes(), complaints.Bytes(), err != nil
}

// wireError is an error of Connect in JSON, and what grpcurl and buf make of one
// of gRPC.
type wireError struct {
	Code    json.RawMessage
	Message string
	Details []struct {
		Type  string          // of Connect
		Value json.RawMessage // base64 in Connect
		Cause string          // of JSON of Any
		Debug struct{ Cause string }
	}
}

// reply makes of an error what the list compares.
func (e *wireError) reply(tb testing.TB) rpcReply {
	tb.Helper()
	reply := rpcReply{Message: e.Message}
	if json.Unmarshal(e.Code, &reply.Code) != nil {
		var name string
		if err := json.Unmarshal(e.Code, &name); err != nil {
			tb.Fatalf("code %s: %v", e.Code, err)
		}
		var code connect.Code
		if err := code.UnmarshalText([]byte(name)); err != nil {
			tb.Fatalf("code %s: %v", name, err)
		}
		reply.Code = int(code)
	}
	for _, detail := range e.Details {
		var value string
		var tunnel culvertv1.TunnelError
		if json.Unmarshal(detail.Value, &value) == nil {
			if raw, err := base64.RawStdEncoding.DecodeString(value); err == nil && proto.Unmarshal(raw, &tunnel) == nil {
				reply.Cause = tunnel.GetCause()
			}
		}
		if detail.Cause != "" {
			reply.Cause = culvertv1.Cause(culvertv1.Cause_value[detail.Cause])
		}
	}
	return reply
}

// curlPrograms are curl with JSON: Call as it is, and the streams with the
// prefixes of their messages around it.
func curlPrograms() []program {
	var all []program
	for _, version := range []string{"--http1.1", "--http2-prior-knowledge"} {
		p := program{name: "curl, Connect over HTTP/2"}
		if version == "--http1.1" {
			p = program{name: "curl, Connect over HTTP/1.1", cannot: overHTTP1()}
		}
		p.run = func(tb testing.TB, addr string, calls []rpcCall) []rpcReply {
			tb.Helper()
			curl := need(tb, "curl", "apt-get install curl")
			var replies []rpcReply
			for _, call := range calls {
				replies = append(replies, curlCall(tb, curl, version, addr, call))
			}
			return replies
		}
		all = append(all, p)
	}
	return all
}

func curlCall(tb testing.TB, curl, version, addr string, call rpcCall) rpcReply {
	tb.Helper()
	contentType, body := "application/json", []byte(call.Messages[0])
	if call.Method != "Call" {
		contentType, body = "application/connect+json", nil
		for _, message := range call.Messages {
			body = binary.BigEndian.AppendUint32(append(body, 0), uint32(len(message)))
			body = append(body, message...)
		}
	}
	output, complaints, failed := tool(tb, body, curl, "--silent", "--show-error", version,
		"--header", "Content-Type: "+contentType, "--data-binary", "@-", "http://"+addr+"/culvert.v1.HTTPService/"+call.Method)
	if failed {
		tb.Fatalf("curl: %s", complaints)
	}
	if call.Method == "Call" {
		return unaryReply(tb, output)
	}
	return streamReply(tb, output)
}

// unaryReply reads the JSON of a unary call's answer.
func unaryReply(tb testing.TB, output []byte) rpcReply {
	tb.Helper()
	var failure wireError
	if err := json.Unmarshal(output, &failure); err != nil {
		tb.Fatalf("%s: %v", output, err)
	}
	if failure.Code != nil {
		return failure.reply(tb)
	}
	return rpcReply{Messages: []json.RawMessage{output}}
}

// streamReply takes the prefixes off the messages of a stream of Connect.
func streamReply(tb testing.TB, output []byte) rpcReply {
	tb.Helper()
	var reply rpcReply
	for len(output) >= 5 {
		flags, size := output[0], int(binary.BigEndian.Uint32(output[1:]))
		if len(output)-5 < size {
			break
		}
		message := output[5 : 5+size]
		output = output[5+size:]
		if flags&2 == 0 {
			reply.Messages = append(reply.Messages, message)
			continue
		}
		var end struct{ Error *wireError }
		if err := json.Unmarshal(message, &end); err != nil {
			tb.Fatalf("%s: %v", message, err)
		}
		if end.Error != nil {
			reply = end.Error.reply(tb)
		}
		if len(output) == 0 {
			return reply
		}
	}
	tb.Fatalf("the stream has no end: %q", output)
	return reply
}

// grpcurlPrograms are grpcurl, which learns the service by reflection.
func grpcurlPrograms() []program {
	return []program{{name: "grpcurl", run: func(tb testing.TB, addr string, calls []rpcCall) []rpcReply {
		tb.Helper()
		grpcurl := need(tb, "grpcurl", "go install github.com/fullstorydev/grpcurl/cmd/grpcurl@v1.9.4")
		var replies []rpcReply
		for _, call := range calls {
			output, complaints, failed := tool(tb, joined(call.Messages), grpcurl, "-plaintext", "-format-error", "-d", "@",
				addr, "culvert.v1.HTTPService/"+call.Method)
			replies = append(replies, printedReply(tb, output, complaints, failed))
		}
		return replies
	}}}
}

// bufPrograms are buf curl, with the descriptors of the service in a file.
func bufPrograms() []program {
	var all []program
	for _, protocol := range []string{"grpc", "grpcweb", "connect"} {
		p := program{name: "buf curl, " + protocol + " over HTTP/1.1", cannot: overHTTP1()}
		var version []string
		if protocol == "grpc" {
			p = program{name: "buf curl, grpc"}
			version = []string{"--http2-prior-knowledge"}
		}
		p.run = func(tb testing.TB, addr string, calls []rpcCall) []rpcReply {
			tb.Helper()
			buf := need(tb, "buf", "go install github.com/bufbuild/buf/cmd/buf@v1.75.0")
			schema := descriptors(tb)
			var replies []rpcReply
			for _, call := range calls {
				args := append([]string{"curl", "--schema", schema, "--protocol", protocol, "--data", "@-"}, version...)
				output, complaints, failed := tool(tb, joined(call.Messages), buf,
					append(args, "http://"+addr+"/culvert.v1.HTTPService/"+call.Method)...)
				replies = append(replies, printedReply(tb, output, complaints, failed))
			}
			return replies
		}
		all = append(all, p)
	}
	return all
}

// descriptors writes those of the service to a file.
func descriptors(tb testing.TB) string {
	tb.Helper()
	files := &descriptorpb.FileDescriptorSet{File: []*descriptorpb.FileDescriptorProto{
		protodesc.ToFileDescriptorProto(culvertv1.File_culvert_v1_error_proto),
		protodesc.ToFileDescriptorProto(culvertv1.File_culvert_v1_message_proto),
		protodesc.ToFileDescriptorProto(culvertv1.File_culvert_v1_session_proto),
		protodesc.ToFileDescriptorProto(culvertv1.File_culvert_v1_service_proto),
	}}
	data, err := proto.Marshal(files)
	if err != nil {
		tb.Fatal(err)
	}
	path := filepath.Join(tempDir(tb), "culvert.binpb")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		tb.Fatal(err)
	}
	return path
}

func joined(messages []json.RawMessage) []byte {
	var all []byte
	for _, message := range messages {
		all = append(append(all, message...), '\n')
	}
	return all
}

// printedReply reads messages from the output, and from the complaints why it
// failed.
func printedReply(tb testing.TB, output, complaints []byte, failed bool) rpcReply {
	tb.Helper()
	var reply rpcReply
	if failed {
		_, text, found := strings.Cut(string(complaints), "{")
		var failure wireError
		if err := json.NewDecoder(strings.NewReader("{" + text)).Decode(&failure); !found || err != nil {
			tb.Fatalf("%s: %v", complaints, err)
		}
		return failure.reply(tb)
	}
	decoder := json.NewDecoder(bytes.NewReader(output))
	for {
		var message json.RawMessage
		if err := decoder.Decode(&message); errors.Is(err, io.EOF) {
			return reply
		} else if err != nil {
			tb.Fatalf("%s: %v", output, err)
		}
		reply.Messages = append(reply.Messages, message)
	}
}
