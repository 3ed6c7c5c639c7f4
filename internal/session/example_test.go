package session_test

import (
	"errors"
	"os"
	"regexp"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	culvertv1 "github.com/culvert-http/culvert/api/culvert/v1"
	"github.com/culvert-http/culvert/internal/session"
)

// Section 21.4: both ends take what the text has the other one send.
func TestProtocolExampleIsTaken(t *testing.T) {
	fromClient, fromServer := exampleMessages(t)

	server := facing(t, session.Config{Server: true})
	for i, message := range fromClient {
		if i == len(fromClient)-1 {
			server.of.Drain()
		}
		if err := server.of.Deliver(message); err != nil {
			t.Fatalf("message %d of the client: %v", i+1, err)
		}
	}
	if len(server.accepted) != 3 {
		t.Errorf("the server accepts %d exchanges, want 3", len(server.accepted))
	}
	for _, frame := range server.hears() {
		if frame.GetReset_() != nil && frame.GetExchange() != 7 {
			t.Errorf("the server finds fault with the client: %v", frame)
		}
	}

	client := facing(t, session.Config{})
	client.open(4)
	for i, message := range fromServer {
		if err := client.of.Deliver(message); err != nil {
			t.Fatalf("message %d of the server: %v", i+1, err)
		}
	}
	reset, ok := errors.AsType[*session.ResetError](receiveError(client.opened[3]))
	if !ok || !reset.NotStarted || !reset.Remote {
		t.Errorf("exchange 7: %v, want that it was not started", reset)
	}
}

var sessionBlock = regexp.MustCompile("(?ms)^```frames Session\n(.*?)^```$")

// exampleMessages returns the messages of the text's session in their binary
// form.
func exampleMessages(t *testing.T) (fromClient, fromServer [][]byte) {
	t.Helper()
	text, err := os.ReadFile("../../docs/protocol.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, block := range sessionBlock.FindAllStringSubmatch(string(text), -1) {
		for line := range strings.Lines(block[1]) {
			direction, text, _ := strings.Cut(line, " ")
			if direction == ">" {
				fromClient = append(fromClient, binaryOf(t, text, &culvertv1.SessionRequest{}))
			} else {
				fromServer = append(fromServer, binaryOf(t, text, &culvertv1.SessionResponse{}))
			}
		}
	}
	if len(fromClient) == 0 || len(fromServer) == 0 {
		t.Fatal("there is no example")
	}
	return fromClient, fromServer
}

func binaryOf(t *testing.T, text string, message proto.Message) []byte {
	t.Helper()
	if err := protojson.Unmarshal([]byte(text), message); err != nil {
		t.Fatal(err)
	}
	data, err := proto.Marshal(message)
	if err != nil {
		t.Fatal(err)
	}
	return data
}
