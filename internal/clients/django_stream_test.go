package clients

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/culvert-http/culvert"
)

// TestDjangoStreams has Go's client talk to examples/django, with the tunnel's
// transport and through a gateway.
func TestDjangoStreams(t *testing.T) {
	t.Parallel()
	program := buildCulvert(t)
	server := startDjango(t, program, nil)
	gateway := urlIn(t, startUntil(t, `"listening"`, program, "gateway", "--listen", "127.0.0.1:0", "--log-format", "json", server))
	transport, err := culvert.NewTransport(server)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = transport.Close() })
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	direct := &http.Transport{Protocols: protocols}
	t.Cleanup(direct.CloseIdleConnections)
	for _, way := range []struct {
		name, url string
		client    *http.Client
	}{
		{"transport", "http://localhost", &http.Client{Transport: transport}},
		{"gateway", gateway, &http.Client{Transport: direct}},
	} {
		t.Run(way.name+"/echo", func(t *testing.T) {
			t.Parallel()
			djangoEcho(t, way.client, way.url)
		})
		t.Run(way.name+"/host", func(t *testing.T) {
			t.Parallel()
			djangoHost(t, way.client, way.url)
		})
	}
}

// djangoEcho sends a line when the one before it has been answered.
func djangoEcho(t *testing.T, client *http.Client, url string) {
	reader, writer := io.Pipe()
	request, err := http.NewRequestWithContext(testContext(t), http.MethodPost, url+"/echo", reader)
	if err != nil {
		t.Fatal(err)
	}
	go func() { _, _ = io.WriteString(writer, "line 0\n") }()
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	answers := bufio.NewReader(response.Body)
	for i := range 20 {
		if i > 0 {
			fmt.Fprintf(writer, "line %d\n", i)
		}
		if answer, err := answers.ReadString('\n'); err != nil || answer != fmt.Sprintf("line %d\n", i) {
			t.Fatalf("answer %d: %q, %v", i, answer, err)
		}
	}
	_ = writer.Close()
	if rest, err := io.ReadAll(answers); err != nil || len(rest) > 0 {
		t.Errorf("after the end: %q, %v", rest, err)
	}
}

// djangoHost asks for the page under a name that Django does not have, and one
// that it has.
func djangoHost(t *testing.T, client *http.Client, url string) {
	for host, want := range map[string]int{"": http.StatusOK, "localhost:1234": http.StatusOK, "localhost.evil.example": http.StatusBadRequest} {
		if host == "localhost.evil.example" && !strings.HasPrefix(url, "http://localhost") {
			want = http.StatusMisdirectedRequest // by the gateway, on the loopback
		}
		request, err := http.NewRequestWithContext(testContext(t), http.MethodGet, url+"/", nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Host = host
		response, err := client.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		if response.StatusCode != want {
			t.Errorf("host %q: status %d, want %d", host, response.StatusCode, want)
		}
	}
}
