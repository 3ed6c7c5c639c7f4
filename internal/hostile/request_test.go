package hostile

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestRequests sends each case on a connection of its own, and another request,
// the victim, behind it. The note want says which responses come: a status, "200"
// for that of the application to the case itself, "smuggled" where what looks like
// a second request is one, and "victim" where the connection is still good. A note
// with a target's name says what that does instead. A case with the note "send:
// incomplete" ends there, and wants no response but an error.
func TestRequests(t *testing.T) {
	smuggled := request("/smuggled", "")
	cases := readCases(t, "requests", smuggled)
	servers := targets(t)
	for _, one := range cases {
		t.Run(one.name, func(t *testing.T) {
			for _, server := range servers {
				sendCase(t, &one, server)
			}
		})
	}
	report(t, "requests, each to serve, without TLS and with it, a gateway and bare net/http", len(cases), 150)
}

func sendCase(t *testing.T, one *testCase, to target) {
	t.Helper()
	sent := one.bytes
	incomplete := one.notes["send"] == "incomplete"
	if !incomplete {
		sent += request("/victim", "Connection: close\r\n")
	}
	conn := dialTarget(t, to)
	defer conn.Close()
	// A server that has seen enough closes its end, and need not take the rest.
	if _, err := io.WriteString(conn, sent); err != nil && !isReset(err) {
		t.Fatal(err)
	}
	if incomplete {
		_ = conn.CloseWrite()
	}
	got := readResponses(t, conn)
	reached := slices.DeleteFunc(to.app.forget(), func(kind string) bool { return kind == "broken" })
	answered := slices.DeleteFunc(slices.Clone(got), func(kind string) bool { return !isOfApplication(kind) })
	if incomplete { // whether there is still somebody to be told is a matter of luck
		if len(got) > 1 || len(answered) > 0 || len(reached) > 0 {
			t.Errorf("%s: responses %v, the application saw %v, of half a request", to, got, reached)
		}
		return
	}
	if want := one.note(to.name, "want"); strings.Join(got, " ") != want {
		t.Errorf("%s: responses %v, want %s", to, got, want)
	}
	if !slices.Equal(reached, answered) {
		t.Errorf("%s: the application saw %v, the client %v", to, reached, got)
	}
}

// isOfApplication reports whether a response is the application's, which all are
// but refusals.
func isOfApplication(kind string) bool {
	switch kind {
	case "200", "victim", "smuggled", "evil", "trailed":
		return true
	default:
		return false
	}
}

func isReset(err error) bool {
	var opErr *net.OpError
	return errors.As(err, &opErr) && !opErr.Timeout()
}

// kindOf is how the application says what it saw, which Call wraps in JSON.
var kindOf = regexp.MustCompile(`kind=(\w+)`)

// readResponses reads the responses on a connection until it is closed.
func readResponses(t *testing.T, conn net.Conn) []string {
	t.Helper()
	var all []string
	reader := bufio.NewReader(conn)
	for {
		if _, err := reader.Peek(1); err != nil {
			if err != io.EOF && !isReset(err) {
				t.Errorf("wait for the end of the connection: %v", err)
			}
			return all
		}
		response, err := http.ReadResponse(reader, &http.Request{Method: http.MethodPost})
		if err != nil {
			rest, _ := io.ReadAll(reader)
			return append(all, "unreadable("+err.Error()+string(rest)+")")
		}
		body, err := io.ReadAll(response.Body)
		if err != nil && (!isReset(err) || !response.Close) { // a server may close while there is more to read
			return append(all, "cut("+err.Error()+")")
		}
		if response.StatusCode < 200 && response.StatusCode != http.StatusSwitchingProtocols {
			continue
		}
		kind := response.Status[:3]
		if found := kindOf.FindSubmatch(body); found != nil && response.StatusCode == http.StatusOK {
			kind = string(found[1])
		}
		all = append(all, kind)
	}
}
