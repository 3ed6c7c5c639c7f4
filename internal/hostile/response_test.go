package hostile

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/culvert-http/culvert"
	"github.com/culvert-http/culvert/internal/bridge"
)

// TestResponses has a server of HTTP/1.1 behind serve answer with each case. A
// client of the RPC and one of a gateway get one response, or an error, and what
// they ask for next is answered as if nothing had been. Wanted is the status and
// the body; "cut" stands for one that does not end well, and a refusal of the
// gateway has none. The note rpc has the cause that a client of the RPC is told. "or" stands between
// what may come: whether the head is on its way when the body turns out to be bad.
// The server closes its connection behind a case with the note "end: close".
func TestResponses(t *testing.T) {
	cases := readCases(t, "responses", "HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nsmuggled")
	server := startLiar(t)
	serve := startServe(t, newUpstream(t, "http://"+server.addr))
	transport, err := culvert.NewTransport("http://" + serve)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = transport.Close() })
	gateway := startGateway(t, serve)
	for _, one := range cases {
		t.Run(one.name, func(t *testing.T) {
			server.lie.Store(&one)
			method, next := http.MethodGet, "200 fresh"
			if one.notes["method"] == http.MethodHead {
				method, next = http.MethodHead, "200"
			}
			for client, ask := range map[string]func(path string) string{
				"rpc":     func(path string) string { return askTransport(t, transport, method, path) },
				"gateway": func(path string) string { return askGateway(t, gateway, method, path) },
			} {
				if got, want := ask("/attack"), one.note(client, "want"); !slices.Contains(strings.Split(want, " or "), got) {
					t.Errorf("%s: got %q, want %q", client, got, want)
				}
				if got := ask("/next"); got != next {
					t.Errorf("%s: the next response is %q", client, got)
				}
			}
		})
	}
	report(t, "responses, each to a client of the RPC and one of a gateway", len(cases), 100)
}

// liar is a server that answers to /attack with the bytes of a case, and else
// honestly.
type liar struct {
	addr string
	lie  atomic.Pointer[testCase]
}

func startLiar(tb testing.TB) *liar {
	tb.Helper()
	listener := listen(tb)
	server := &liar{addr: listener.Addr().String()}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go server.serve(conn)
		}
	}()
	tb.Cleanup(func() {
		_ = listener.Close()
		<-ended
	})
	return server
}

func (l *liar) serve(conn net.Conn) {
	defer conn.Close()
	reader := bufio.NewReader(conn)
	for {
		request, err := http.ReadRequest(reader)
		if err != nil {
			return
		}
		if request.URL.Path != "/attack" {
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")
			if request.Method != http.MethodHead {
				_, _ = io.WriteString(conn, "fresh")
			}
			continue
		}
		one := l.lie.Load()
		_, _ = io.WriteString(conn, one.bytes)
		if one.notes["end"] == "close" {
			return
		}
	}
}

// askTransport asks through the RPC.
func askTransport(t *testing.T, transport *culvert.Transport, method, path string) string {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, "http://localhost"+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := transport.RoundTrip(request)
	if err != nil {
		if tunnelErr, ok := errors.AsType[*culvert.Error](err); ok {
			return bridge.CauseName(tunnelErr.Cause)
		}
		return err.Error()
	}
	defer response.Body.Close()
	return describe(t, response)
}

// askGateway asks on a connection of its own, on which nothing may follow.
func askGateway(t *testing.T, addr, method, path string) string {
	t.Helper()
	conn := dial(t, addr)
	defer conn.Close()
	if _, err := io.WriteString(conn, method+" "+path+" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	reader := bufio.NewReader(conn)
	for {
		response, err := http.ReadResponse(reader, &http.Request{Method: method})
		if err != nil {
			return "unreadable: " + err.Error()
		}
		if response.StatusCode < 200 {
			checkFields(t, response.Header)
			continue
		}
		got := describe(t, response)
		if rest, _ := io.ReadAll(reader); len(rest) > 0 && !strings.HasSuffix(got, "cut") {
			t.Errorf("behind the response there is %.100q", rest)
		}
		return got
	}
}

func describe(t *testing.T, response *http.Response) string {
	t.Helper()
	checkFields(t, response.Header)
	got := response.Status[:3]
	body, err := io.ReadAll(response.Body)
	switch {
	case err != nil:
		return got + " cut"
	case response.Header.Get("Proxy-Status") != "" || len(body) == 0:
		return got
	default:
		return got + " " + string(body)
	}
}

// checkFields looks for what belongs to the connection behind.
func checkFields(t *testing.T, header http.Header) {
	t.Helper()
	for _, name := range []string{"X-Secret", "Keep-Alive", "Proxy-Connection", "Upgrade"} {
		if values, ok := header[name]; ok {
			t.Errorf("the response has %s: %q", name, values)
		}
	}
}
