package culvert_test

import (
	"io"
	"net/http"
	"runtime"
	"testing"
)

// A handler that does not come to its end has not written a whole response,
// whatever recover says of it.
func TestHandlerThatDoesNotReturn(t *testing.T) {
	t.Setenv("GODEBUG", "panicnil=1") // recover cannot tell such a panic from none
	for name, leave := range map[string]func(){
		"panic with nil": func() { panic(nil) }, //nolint:govet // that it is nil is the point
		"Goexit":         runtime.Goexit,
	} {
		for _, w := range ways() {
			t.Run(name+"/"+w.String(), func(t *testing.T) {
				r := w.newRig(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
					_, _ = io.WriteString(w, "half")
					_ = http.NewResponseController(w).Flush()
					leave()
				}))
				resp, err := r.transport.RoundTrip(newRigRequest(t, http.MethodGet, "/", nil))
				if err != nil {
					return
				}
				defer resp.Body.Close()
				if body, err := io.ReadAll(resp.Body); err == nil {
					t.Errorf("a response that is not whole came as %q", body)
				}
			})
		}
	}
}
