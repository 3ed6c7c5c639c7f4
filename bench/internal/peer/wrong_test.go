package peer

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/culvert-http/culvert/bench/internal/app"
)

// TestPeersNoticeWrongAnswers has applications that do not do what they are asked
// for.
func TestPeersNoticeWrongAnswers(t *testing.T) {
	applications := map[string]http.HandlerFunc{
		"another status": func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusTeapot)
			_, _ = io.WriteString(w, app.Answer)
		},
		"another body": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, strings.ToUpper(app.Answer))
		},
		"a longer body": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write(append(app.Fill(1000), 1))
		},
		"a shorter body": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write(app.Fill(999))
		},
	}
	for _, p := range List() {
		if p.Bare {
			continue // nobody to give a wrong answer
		}
		t.Run(p.Name, func(t *testing.T) {
			skipUnlessInstalled(t, p)
			for name, application := range applications {
				path := openPeerTo(t, p, application, app.New())
				for _, work := range []app.Work{app.Small(), app.Download(1000), app.Upload(1000)} {
					if exchangeOnce(path, work) == nil {
						t.Errorf("%s has not been noticed in %s", name, work.Name)
					}
				}
			}
		})
	}
}
