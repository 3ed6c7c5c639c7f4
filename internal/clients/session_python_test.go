package clients

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/culvert-http/culvert"
	culvertv1 "github.com/culvert-http/culvert/api/culvert/v1"
)

// sessionRequest is an exchange for python/session.py, and sessionReply what became
// of it.
type sessionRequest struct {
	Method string `json:"method,omitempty"`
	Path   string `json:"path"`
	Text   string `json:"text,omitempty"`
}

type sessionReply struct {
	Status int             `json:"status"`
	Size   int             `json:"size"`
	Sum    string          `json:"sha256"`
	Error  culvertv1.Cause `json:"error"`
}

func replyOf(status int, body string) sessionReply {
	sum := sha256.Sum256([]byte(body))
	return sessionReply{Status: status, Size: len(body), Sum: hex.EncodeToString(sum[:])}
}

// A client of another language, written from docs/protocol.md, carries exchanges
// in a session: more than the window of an exchange and of the session have room
// for, both ways, more at once than are allowed before the server's hello, one that
// is answered before it is read, and one that is cut.
func TestSessionInPython(t *testing.T) {
	inner := app()
	addr := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if peer, _ := culvert.PeerFromContext(r.Context()); peer.Method != "Session" {
			t.Errorf("%s came by %s", r.URL.Path, peer.Method)
		}
		inner.ServeHTTP(w, r)
	}))
	large := strings.Repeat("0123456789abcdef", 1<<16) // 1 MiB
	var requests []sessionRequest
	var want []sessionReply
	add := func(request sessionRequest, reply sessionReply) {
		requests, want = append(requests, request), append(want, reply)
	}
	for range 12 {
		add(sessionRequest{Method: http.MethodPost, Path: "/echo", Text: large}, replyOf(http.StatusOK, large))
	}
	add(sessionRequest{Method: http.MethodPost, Path: "/early", Text: large}, replyOf(http.StatusAccepted, ""))
	add(sessionRequest{Path: "/cut"}, sessionReply{Error: culvertv1.Cause_CAUSE_RESPONSE_TRUNCATED})
	for i := range 150 {
		add(sessionRequest{Path: fmt.Sprintf("/hello?name=%d", i)}, replyOf(http.StatusOK, fmt.Sprintf("hello %d\n", i)))
	}
	for i, got := range pythonSession(t, addr, requests) {
		if got != want[i] {
			t.Errorf("%s %s: %+v, want %+v", requests[i].Method, requests[i].Path, got, want[i])
		}
	}
}

// pythonSession has the client of Python carry requests in one session.
func pythonSession(tb testing.TB, addr string, requests []sessionRequest) []sessionReply {
	tb.Helper()
	script, err := filepath.Abs("python/session.py")
	if err != nil {
		tb.Fatal(err)
	}
	python := needGrpcio(tb)
	input, err := json.Marshal(requests)
	if err != nil {
		tb.Fatal(err)
	}
	output, complaints, failed := tool(tb, input, python, script, addr, generatePython(tb))
	var replies []sessionReply
	if err := json.Unmarshal(output, &replies); failed || err != nil {
		tb.Fatalf("%v: %s", err, complaints)
	}
	if len(replies) != len(requests) {
		tb.Fatalf("%d replies to %d requests", len(replies), len(requests))
	}
	return replies
}
