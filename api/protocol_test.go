package api_test

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	culvertv1 "github.com/culvert-http/culvert/api/culvert/v1"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
)

const protocolFile = "../docs/protocol.md"

// Section 21: whoever writes a client copies its examples.
func TestProtocolJSONExamplesParse(t *testing.T) {
	count := 0
	for _, block := range blocks(t) {
		switch block.language {
		case "json":
			if block.message != "" {
				parseJSON(t, block.message, block.text)
				count++
			}
		case "frames":
			for line := range strings.Lines(block.text) {
				direction, text, _ := strings.Cut(strings.TrimSpace(line), " ")
				parseJSON(t, frameMessage(t, block.message, direction), text)
				count++
			}
		}
	}
	if count == 0 {
		t.Fatal("no examples found")
	}
}

// frameMessage returns the message that a line of a block of frames shows.
func frameMessage(t *testing.T, method, direction string) string {
	t.Helper()
	message, ok := map[string]string{
		" >": "RequestFrame", " <": "ResponseFrame",
		"Session >": "SessionRequest", "Session <": "SessionResponse",
	}[method+" "+direction]
	if !ok {
		t.Fatalf("a line of the block %q begins with %q", method, direction)
	}
	return message
}

// Section 21.4: the part that opens the second exchange costs what the text says.
func TestProtocolPartCostsWhatItSays(t *testing.T) {
	part := &culvertv1.RequestFrame{
		Head: &culvertv1.RequestHead{Method: "PUT", Path: "/file", NotifyAccepted: true},
		Data: []byte("hel"),
	}
	size := proto.Size(part)
	want := fmt.Sprintf("have cost the client %d bytes so far, %d for the part itself and 32", size+32, size)
	if text := strings.Join(strings.Fields(readProtocol(t)), " "); !strings.Contains(text, want) {
		t.Errorf("%s does not say: %s", protocolFile, want)
	}
}

// Section 21.3: the bytes are those of the messages that the text describes, and
// their notes stand beside them.
func TestProtocolBytesAreTrue(t *testing.T) {
	field := func(name, value string) []*culvertv1.Field {
		return []*culvertv1.Field{{Name: name, Value: value}}
	}
	want := map[string][]proto.Message{
		"RequestFrame": {&culvertv1.RequestFrame{
			Head: &culvertv1.RequestHead{Method: "POST", Path: "/echo", Headers: field("content-length", "2")},
			Data: []byte("hi"),
			End:  true,
		}},
		"ResponseFrame": {
			&culvertv1.ResponseFrame{
				Head: &culvertv1.ResponseHead{Status: 200, Headers: field("Content-Type", "text/plain")},
				Data: []byte("hi"),
			},
			&culvertv1.ResponseFrame{End: true},
		},
	}
	got := map[string][]byte{}
	for _, block := range blocks(t) {
		if block.language == "hex" {
			got[block.message] = append(got[block.message], parseHex(t, block.text)...)
		}
	}
	for name, messages := range want {
		var wire []byte
		for _, message := range messages {
			wire = appendEnvelope(t, wire, message)
		}
		if !bytes.Equal(got[name], wire) {
			t.Errorf("%s in %s:\n%swant:\n%s", name, protocolFile, hex.Dump(got[name]), hex.Dump(wire))
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d messages are shown as bytes, %d are known here", len(got), len(want))
	}
}

// Section 17: the table has each cause once, under its own number.
func TestProtocolListsEveryCause(t *testing.T) {
	text := readProtocol(t)
	for number, name := range culvertv1.Cause_name {
		row := fmt.Sprintf("\n| `%s` | %d | ", name, number)
		if n := strings.Count(text, row); n != 1 {
			t.Errorf("%d rows begin with %q", n, strings.TrimSpace(row))
		}
	}
}

type block struct{ language, message, text string }

var fence = regexp.MustCompile("(?ms)^```([a-z]+) ?([A-Za-z]*)\n(.*?)^```$")

// blocks returns the code blocks of the protocol's text. The second word after a
// fence is the message that the block shows.
func blocks(t *testing.T) []block {
	t.Helper()
	var all []block
	for _, match := range fence.FindAllStringSubmatch(readProtocol(t), -1) {
		all = append(all, block{language: match[1], message: match[2], text: match[3]})
	}
	return all
}

func readProtocol(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(protocolFile)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func parseJSON(t *testing.T, name, text string) {
	t.Helper()
	message, err := protoregistry.GlobalTypes.FindMessageByName(protoreflect.FullName("culvert.v1." + name))
	if err != nil {
		t.Fatal(err)
	}
	if err := protojson.Unmarshal([]byte(text), message.New().Interface()); err != nil {
		t.Errorf("%s is not a %s: %v", text, name, err)
	}
}

// parseHex returns the bytes at the beginning of each line. What follows after
// two spaces is a note.
func parseHex(t *testing.T, text string) []byte {
	t.Helper()
	var all []byte
	for line := range strings.Lines(text) {
		digits, _, _ := strings.Cut(strings.TrimSpace(line), "  ")
		part, err := hex.DecodeString(strings.ReplaceAll(digits, " ", ""))
		if err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		all = append(all, part...)
	}
	return all
}

// appendEnvelope appends a message in gRPC's framing.
func appendEnvelope(t *testing.T, wire []byte, message proto.Message) []byte {
	t.Helper()
	body, err := proto.MarshalOptions{Deterministic: true}.Marshal(message)
	if err != nil {
		t.Fatal(err)
	}
	wire = binary.BigEndian.AppendUint32(append(wire, 0), uint32(len(body)))
	return append(wire, body...)
}
