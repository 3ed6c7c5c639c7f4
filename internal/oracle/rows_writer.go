package oracle

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// writerRows are about what a ResponseWriter and a request can do beyond their
// interfaces.
func writerRows() []Row {
	reports := func(name string, report func(w http.ResponseWriter, r *http.Request) string, gaps ...Gap) Row {
		return Row{Name: "writer/" + name, Status: 200, Gaps: gaps, Handler: func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, report(w, r))
		}}
	}
	far := time.Now().Add(time.Hour)
	control := func(name string, do func(*http.ResponseController) error) Row {
		return reports("ResponseController."+name, func(w http.ResponseWriter, _ *http.Request) string {
			return fmt.Sprint(do(http.NewResponseController(w)))
		})
	}
	return []Row{
		control("Flush", (*http.ResponseController).Flush),
		control("SetReadDeadline", func(c *http.ResponseController) error { return c.SetReadDeadline(far) }),
		control("SetWriteDeadline", func(c *http.ResponseController) error { return c.SetWriteDeadline(far) }),
		control("no deadlines", func(c *http.ResponseController) error {
			return errors.Join(c.SetReadDeadline(time.Time{}), c.SetWriteDeadline(time.Time{}))
		}),
		control("EnableFullDuplex", (*http.ResponseController).EnableFullDuplex),
		{
			Name: "writer/ResponseController.Hijack without an upgrade", Status: 200, Versions: []Version{HTTP2},
			Handler: func(w http.ResponseWriter, _ *http.Request) {
				_, _, err := http.NewResponseController(w).Hijack()
				fmt.Fprint(w, errors.Is(err, http.ErrNotSupported))
			},
		},
		reports("interfaces", func(w http.ResponseWriter, _ *http.Request) string {
			_, flusher := w.(http.Flusher)
			_, flushError := w.(interface{ FlushError() error })
			_, stringWriter := w.(io.StringWriter)
			_, closeNotifier := w.(interface{ CloseNotify() <-chan bool })
			return fmt.Sprint(flusher, flushError, stringWriter, closeNotifier)
		}),
		reports("context", func(_ http.ResponseWriter, r *http.Request) string {
			_, server := r.Context().Value(http.ServerContextKey).(*http.Server)
			_, addr := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
			_, deadline := r.Context().Deadline()
			return fmt.Sprintf("%t %t %5t %v", server, addr, deadline, r.Context().Err())
		}, Gap{
			Aspect: "body", When: bare, Reason: "the deadline of the RPC is the request's (protocol, 14.1)",
		}),
		reports("header is one map", func(w http.ResponseWriter, _ *http.Request) string {
			w.Header().Set("X-A", "1")
			header := w.Header()
			header.Set("X-B", "2")
			return fmt.Sprint(len(w.Header()))
		}),
		{
			Name: "writer/read deadline in the past", Status: 200,
			Request: Request{Method: "POST", Body: []string{"a", "b"}, Unsized: true, Lockstep: true},
			Handler: func(w http.ResponseWriter, r *http.Request) {
				control := http.NewResponseController(w)
				if err := errors.Join(control.EnableFullDuplex(), control.Flush()); err != nil {
					panic(err)
				}
				first := make([]byte, 1)
				_, _ = io.ReadFull(r.Body, first)
				_ = control.SetReadDeadline(time.Now())
				_, err := io.ReadFull(r.Body, first)
				fmt.Fprint(w, err != nil)
			},
		},
	}
}
