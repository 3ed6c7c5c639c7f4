package culvert_test

import (
	"bytes"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"

	"github.com/culvert-http/culvert"
	culvertv1 "github.com/culvert-http/culvert/api/culvert/v1"
)

// Whatever JSON Call gets, it is either a request, which the handler sees once,
// or invalid_argument, and then the handler sees nothing.
func FuzzCallJSON(f *testing.F) {
	for _, seed := range []string{
		`{}`,
		`{"method":"POST","path":"/a?b=1","headers":[{"name":"accept","value":"text/html"}],"text":"hi"}`,
		`{"rawPath":"L2NhZuk=","headers":[{"name":"X","rawValue":"Y2Fm6Q=="}],"body":"AAE=","trailers":[{"name":"X-Sum","value":"1"}]}`,
		`{"methdo":"DELETE"}`,
		`{"method":"a b"}`,
		`{"httpVersion":"HTTP_VERSION_2_0","acceptText":true}`,
		`{"httpVersion":99}`,
		`{"text":"a","body":"YQ=="}`,
		`[[[[`,
		``,
	} {
		f.Add([]byte(seed))
	}
	runs := 0
	pattern, handler := culvert.NewHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		runs++
		_, _ = io.Copy(w, r.Body)
	}), culvert.WithLogger(slog.New(slog.DiscardHandler)))
	f.Fuzz(func(t *testing.T, body []byte) {
		runs = 0
		request := httptest.NewRequest(http.MethodPost, pattern+"Call", bytes.NewReader(body))
		request.Header.Set("Content-Type", "application/json")
		recorder := httptest.NewRecorder()
		handler.ServeHTTP(recorder, request)
		var message culvertv1.HTTPRequest
		parsed := protojson.Unmarshal(body, &message) == nil
		switch recorder.Code {
		case http.StatusOK:
			if runs != 1 || !parsed {
				t.Errorf("the handler ran %d times for %q", runs, body)
			}
			var answer culvertv1.HTTPResponse
			unmarshalJSON(t, recorder.Body.Bytes(), &answer)
			sent := append(message.GetBody(), message.GetText()...)
			if got := append(answer.GetBody(), answer.GetText()...); answer.GetStatus() == http.StatusOK && !bytes.Equal(got, sent) && message.GetMethod() != http.MethodHead {
				t.Errorf("%q came back as %q", sent, got)
			}
		case http.StatusBadRequest, http.StatusTooManyRequests: // resource_exhausted
			var got outcome
			got.readConnectError(t, recorder.Body.Bytes())
			if runs != 0 || !got.hasDetail || got.code != codeOfCause[got.cause] {
				t.Errorf("%q: the handler ran %d times, and the error is %v", body, runs, got)
			}
		default:
			t.Errorf("HTTP %d for %q", recorder.Code, body)
		}
	})
}
