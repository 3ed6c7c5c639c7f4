package clients

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/coder/websocket"
	"github.com/mccutchen/go-httpbin/v2/httpbin"

	"github.com/culvert-http/culvert"
)

// browserMessages is how many messages the browser sends before it reads one.
const browserMessages = 10_000

// TestBrowserThroughGateway has Chromium load a page, fetch, and use its own
// WebSocket through gateway and tunnel.
func TestBrowserThroughGateway(t *testing.T) {
	t.Parallel()
	node, dir := nodePackages(t)
	chromium := need(t, "chromium", installChromium)
	type closing struct {
		Code   int    `json:"code"`
		Reason string `json:"reason"`
	}
	type seen struct {
		Title  string              `json:"title"`
		Args   map[string][]string `json:"args"`
		Right  int                 `json:"right"`
		Ours   closing             `json:"ours"`
		Theirs closing             `json:"theirs"`
	}
	want := seen{
		Title:  "Herman Melville - Moby-Dick",
		Args:   map[string][]string{"a": {"1"}},
		Right:  browserMessages,
		Ours:   closing{4000, "enough"},
		Theirs: closing{4001, "bye"},
	}
	for _, method := range []culvert.Method{culvert.MethodExchange, culvert.MethodSession} {
		t.Run(method.String(), func(t *testing.T) {
			t.Parallel()
			transport, err := culvert.NewTransport("http://"+serve(t, browserApp()), culvert.WithMethod(method))
			if err != nil {
				t.Fatal(err)
			}
			gateway := httptest.NewServer(culvert.NewGateway(transport))
			t.Cleanup(func() {
				gateway.Close()
				_ = transport.Close()
			})
			command := exec.CommandContext(t.Context(), node, filepath.Join(dir, "gateway.js"), gateway.URL, chromium, "10000")
			out, err := command.Output()
			if err != nil {
				t.Fatalf("run the browser: %v\n%s", err, stderrOf(err))
			}
			var got seen
			if err := json.Unmarshal(out, &got); err != nil {
				t.Fatalf("read what the browser saw: %v\n%s", err, out)
			}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("the browser saw %+v, want %+v", got, want)
			}
		})
	}
}

func stderrOf(err error) []byte {
	if exit, ok := err.(*exec.ExitError); ok { //nolint:errorlint // as Output returns it
		return exit.Stderr
	}
	return nil
}

// browserApp is the demo application with two WebSockets beside it: one that
// echoes until the browser closes it, and one that the server closes.
func browserApp() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/", httpbin.New())
	mux.HandleFunc("/echo", func(w http.ResponseWriter, r *http.Request) {
		conn, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		defer conn.CloseNow() //nolint:errcheck // it is closed already
		for {
			kind, message, err := conn.Read(r.Context())
			if err != nil || conn.Write(r.Context(), kind, message) != nil {
				return
			}
		}
	})
	mux.HandleFunc("/bye", func(w http.ResponseWriter, r *http.Request) {
		if conn, err := websocket.Accept(w, r, nil); err == nil {
			_ = conn.Close(4001, "bye")
		}
	})
	return mux
}
