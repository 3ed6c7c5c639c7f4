package upstream

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/coder/websocket"
)

func TestUvicorn(t *testing.T) {
	f := startFront(t, startUvicorn(t), Options{})
	for _, version := range []string{"h1", "h2"} {
		t.Run("scope/"+version, func(t *testing.T) { testUvicornScope(t, f, version) })
		t.Run("echo/"+version, func(t *testing.T) { testUvicornEcho(t, f, version) })
		t.Run("events/"+version, func(t *testing.T) { testUvicornEvents(t, f, version) })
	}
	// Not on h1: net/http's server resets a connection whose request it has not read,
	// and its client may then lose the response.
	t.Run("refusal/h2", func(t *testing.T) { testUvicornRefusal(t, f, "h2") })
	t.Run("websocket", func(t *testing.T) { testUvicornWebSocket(t, f) })
}

func testUvicornScope(t *testing.T, f *front, version string) {
	t.Helper()
	r := newRequest(t, "DELETE", f.url("/scope?a=%20b"), nil)
	r.Header["X-Many"] = []string{"1", "2"}
	response := f.do(t, version, r)
	var scope struct {
		Method, Query string
		Headers       [][2]string
	}
	if err := json.NewDecoder(response.Body).Decode(&scope); err != nil {
		t.Fatal(err)
	}
	if scope.Method != http.MethodDelete || scope.Query != "a=%20b" {
		t.Errorf("scope %+v", scope)
	}
	for _, want := range [][2]string{{"host", f.address}, {"x-many", "1"}, {"x-many", "2"}, {"x-forwarded-for", "127.0.0.1"}} {
		if !slices.Contains(scope.Headers, want) {
			t.Errorf("field %q is not in %q", want, scope.Headers)
		}
	}
	if got := response.Header["X-A"]; !slices.Equal(got, []string{"1", "2"}) {
		t.Errorf("response has %q", got)
	}
}

// testUvicornEcho is full duplex.
func testUvicornEcho(t *testing.T, f *front, version string) {
	t.Helper()
	reader, writer := io.Pipe()
	go func() { _, _ = io.WriteString(writer, "0\n") }()
	response := f.do(t, version, newRequest(t, "POST", f.url("/echo"), reader))
	answers := bufio.NewReader(response.Body)
	for i := range 100 {
		if i > 0 {
			fmt.Fprintf(writer, "%d\n", i)
		}
		if got, err := answers.ReadString('\n'); err != nil || got != fmt.Sprintf("%d\n", i) {
			t.Fatalf("answer %d: %q, %v", i, got, err)
		}
	}
	writer.Close()
	if rest := readAll(t, answers); rest != "" {
		t.Errorf("after the end: %q", rest)
	}
}

func testUvicornEvents(t *testing.T, f *front, version string) {
	t.Helper()
	response := f.do(t, version, newRequest(t, "GET", f.url("/events"), nil))
	lines := bufio.NewReader(response.Body)
	for i := range 3 {
		if line, err := lines.ReadString('\n'); err != nil || line != fmt.Sprintf("data: %d\n", i) {
			t.Fatalf("event %d: %q, %v", i, line, err)
		}
		_, _ = lines.ReadString('\n')
	}
	response.Body.Close()
	f.failed(t)
}

func testUvicornRefusal(t *testing.T, f *front, version string) {
	t.Helper()
	for range 5 {
		r := newRequest(t, "POST", f.url("/refuse"), strings.NewReader(strings.Repeat("x", 200_000)))
		response := f.do(t, version, r)
		if body := readAll(t, response.Body); response.StatusCode != http.StatusRequestEntityTooLarge || body != "no" {
			t.Errorf("status %d, body %q", response.StatusCode, body)
		}
	}
}

func testUvicornWebSocket(t *testing.T, f *front) {
	t.Helper()
	ctx := testContext(t)
	conn, _, err := websocket.Dial(ctx, "ws://"+f.address+"/", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.CloseNow() }()
	conn.SetReadLimit(1 << 20)
	for i := range 200 {
		message := bytes.Repeat([]byte{byte(i)}, i*i)
		if err := conn.Write(ctx, websocket.MessageBinary, message); err != nil {
			t.Fatal(err)
		}
		if _, got, err := conn.Read(ctx); err != nil || !bytes.Equal(got, message) {
			t.Fatalf("message %d: %d bytes, %v", i, len(got), err)
		}
	}
	if err := conn.Write(ctx, websocket.MessageText, []byte("close")); err != nil {
		t.Fatal(err)
	}
	if _, _, err := conn.Read(ctx); websocket.CloseStatus(err) != 4001 {
		t.Errorf("closed with %v", err)
	}
}
