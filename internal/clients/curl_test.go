package clients

import (
	"bytes"
	"encoding/json"
	"os/exec"
	"strings"
	"testing"
)

// answer is what Call's JSON looks like to somebody who reads it with jq.
type answer struct {
	Status   int
	Headers  []struct{ Name, Value string }
	Body     []byte
	Text     string
	Trailers []struct{ Name, Value string }
	// Of errors.
	Code, Message string
}

// TestCurl calls the tunnel as a person with curl does, on HTTP/1.1 and on h2c.
func TestCurl(t *testing.T) {
	t.Parallel()
	curl := need(t, "curl", "apt-get install curl")
	addr := serve(t, app())
	for _, version := range []string{"--http1.1", "--http2-prior-knowledge"} {
		for _, test := range []struct {
			name, request string
			check         func(answer) bool
		}{
			{"GET", `{"path":"/hello?name=curl"}`, func(a answer) bool { return a.Status == 200 && a.Text == "hello curl\n" }},
			{"POST", `{"method":"POST","path":"/echo","headers":[{"name":"content-type","value":"text/x"}],"text":"hi"}`, func(a answer) bool {
				return a.Status == 200 && a.Text == "hi" && a.Headers[0].Value == "text/x" && a.Trailers[0].Value == "2"
			}},
			{"base64", `{"method":"POST","path":"/echo","body":"AAH/"}`, func(a answer) bool {
				return a.Status == 200 && a.Text == "" && bytes.Equal(a.Body, []byte{0, 1, 0xff})
			}},
			{"binary", `{"path":"/binary"}`, func(a answer) bool { return bytes.Equal(a.Body, []byte{0, 1, 0xff}) }},
			{"not found", `{"path":"/none"}`, func(a answer) bool { return a.Status == 404 && a.Code == "" }},
			{"unknown key", `{"methdo":"DELETE"}`, func(a answer) bool { return a.Code == "invalid_argument" && strings.Contains(a.Message, "methdo") }},
			{"cut", `{"path":"/cut"}`, func(a answer) bool { return a.Code == "data_loss" }},
			{"empty", `{}`, func(a answer) bool { return a.Status == 404 }},
		} {
			t.Run(strings.TrimPrefix(version, "--")+" "+test.name, func(t *testing.T) {
				t.Parallel()
				output, err := exec.CommandContext(testContext(t), curl, "--silent", "--show-error", version,
					"--header", "Content-Type: application/json", "--data", test.request,
					"http://"+addr+"/culvert.v1.HTTPService/Call").CombinedOutput()
				var got answer
				if err == nil {
					err = json.Unmarshal(output, &got)
				}
				if err != nil || !test.check(got) {
					t.Fatalf("%s (%v)", output, err)
				}
			})
		}
	}
}
