package clients

import (
	"bytes"
	"encoding/json"
	"io"
	"os/exec"
	"strings"
	"testing"
)

// TestGrpcurl explores and calls the tunnel as a person with grpcurl does.
func TestGrpcurl(t *testing.T) {
	t.Parallel()
	program := need(t, "grpcurl", "go install github.com/fullstorydev/grpcurl/cmd/grpcurl@v1.9.4")
	addr := serve(t, app())
	grpcurl := func(t *testing.T, args ...string) string {
		t.Helper()
		output, err := exec.CommandContext(testContext(t), program, append([]string{"-plaintext"}, args...)...).CombinedOutput()
		if err != nil {
			t.Fatalf("grpcurl %q: %v: %s", args, err, output)
		}
		return string(output)
	}
	t.Run("list", func(t *testing.T) {
		t.Parallel()
		if got := grpcurl(t, addr, "list"); !strings.Contains(got, "culvert.v1.HTTPService\n") {
			t.Errorf("services: %s", got)
		}
	})
	t.Run("describe", func(t *testing.T) {
		t.Parallel()
		got := grpcurl(t, addr, "describe", "culvert.v1.HTTPService")
		for _, method := range []string{"Call", "Upload", "Download", "Exchange"} {
			if !strings.Contains(got, "rpc "+method+" (") {
				t.Errorf("no %s in %s", method, got)
			}
		}
	})
	t.Run("Call", func(t *testing.T) {
		t.Parallel()
		got := answers(t, grpcurl(t, "-d", `{"path":"/hello?name=grpcurl","acceptText":true}`, addr, "culvert.v1.HTTPService/Call"))
		if len(got) != 1 || got[0].Status != 200 || got[0].Text != "hello grpcurl\n" {
			t.Errorf("answer: %+v", got)
		}
	})
	t.Run("Exchange", func(t *testing.T) {
		t.Parallel()
		got := answers(t, grpcurl(t, "-d", `
			{"head":{"method":"POST","path":"/echo"},"data":"aGVs"}
			{"data":"bG8="}
			{"end":true}`, addr, "culvert.v1.HTTPService/Exchange"))
		var body []byte
		for _, frame := range got {
			body = append(body, frame.Data...)
		}
		if last := got[len(got)-1]; got[0].Head.Status != 200 || string(body) != "hello" || !last.End || last.Trailers[0].Value != "5" {
			t.Errorf("frames: %+v", got)
		}
	})
}

// frame is an answer of Call or a frame of Exchange.
type frame struct {
	answer
	Head struct{ Status int }
	Data []byte
	End  bool
}

// answers reads the messages that grpcurl prints.
func answers(tb testing.TB, output string) []frame {
	tb.Helper()
	var all []frame
	decoder := json.NewDecoder(bytes.NewBufferString(output))
	for {
		var next frame
		if err := decoder.Decode(&next); err == io.EOF {
			break
		} else if err != nil {
			tb.Fatalf("read %q: %v", output, err)
		}
		all = append(all, next)
	}
	if len(all) == 0 {
		tb.Fatal("no messages")
	}
	return all
}
