package culvert_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/culvert-http/culvert"
)

// stuck answers nothing, or half a body to /body, until its client gives up.
var stuck = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/body" {
		_, _ = io.WriteString(w, "half")
		_ = http.NewResponseController(w).Flush()
	}
	<-r.Context().Done()
})

// doAndRead sends a request and reads the response, and returns the first error.
func doAndRead(client *http.Client, req *http.Request) error {
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, err = io.ReadAll(resp.Body)
	return err
}

// A caller who is told that his time is over finds that it is, whichever end has
// noticed first.
func TestTransportDeadlineIsTheCallers(t *testing.T) {
	for _, w := range ways() {
		t.Run(w.String(), func(t *testing.T) {
			client := w.newRig(t, stuck).client
			for i := range 10 { // the server's clock is ahead by chance
				path := []string{"/head", "/body"}[i%2]
				ctx, cancel := context.WithTimeout(t.Context(), 5*time.Millisecond+time.Duration(i)*100*time.Microsecond)
				req, err := http.NewRequestWithContext(ctx, http.MethodGet, rigURL+path, nil)
				if err != nil {
					t.Fatal(err)
				}
				err = doAndRead(client, req)
				if !errors.Is(err, context.DeadlineExceeded) || ctx.Err() == nil {
					t.Errorf("%s: %v, and the context says %v", path, err, ctx.Err())
				}
				var timeout net.Error
				if !errors.As(err, &timeout) || !timeout.Timeout() {
					t.Errorf("%s: %v is no timeout of net/http's", path, err)
				}
				cancel()
			}
		})
	}
}

// A client's Timeout is told as its own, as with net/http's transport.
func TestTransportUnderAClientWithATimeout(t *testing.T) {
	for _, w := range ways() {
		t.Run(w.String(), func(t *testing.T) {
			client := w.newRig(t, stuck).client
			client.Timeout = 10 * time.Millisecond
			for i := range 4 {
				req := newRigRequest(t, http.MethodGet, []string{"/head", "/body"}[i%2], nil)
				err := doAndRead(client, req)
				if err == nil || !timeoutOfClient(err) {
					t.Errorf("error %v", err)
				}
			}
		})
	}
}

func timeoutOfClient(err error) bool {
	var urlErr *url.Error
	if errors.As(err, &urlErr) {
		err = urlErr.Err
	}
	// The type is not exported; what it is made of is.
	timeout, ok := err.(net.Error) //nolint:errorlint // it wraps nothing
	_, ours := errors.AsType[*culvert.Error](err)
	return ok && timeout.Timeout() && errors.Is(err, context.DeadlineExceeded) && !ours
}

// Request.Cancel is deprecated, but honoured by net/http.
func TestTransportRequestCancel(t *testing.T) {
	for _, w := range ways() {
		for _, path := range []string{"/head", "/body"} {
			t.Run(w.String()+path, func(t *testing.T) {
				begun, left := make(chan struct{}), make(chan struct{})
				r := w.newRig(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					defer close(left)
					close(begun)
					stuck(w, r)
				}))
				req := newRigRequest(t, http.MethodGet, path, nil)
				cancel := make(chan struct{})
				req.Cancel = cancel //nolint:staticcheck // that is what is tested
				go func() {
					<-begun
					close(cancel)
				}()
				if err := doAndRead(r.client, req); !errors.Is(err, context.Canceled) {
					t.Errorf("error %v", err)
				}
				if !w.unwatched() {
					<-left
				}
			})
		}
	}
}

// Once a response was read to its end its Cancel is of no account, nor is a
// goroutine left that watches it: see TestMain.
func TestTransportRequestCancelThatIsNotUsed(t *testing.T) {
	for _, w := range ways() {
		t.Run(w.String(), func(t *testing.T) {
			r := w.newRig(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") }))
			req := newRigRequest(t, http.MethodGet, "/", nil)
			req.Cancel = make(chan struct{}) //nolint:staticcheck // that is what is tested
			if got := readBody(t, r.do(t, req)); got != "hello" {
				t.Errorf("got %q", got)
			}
		})
	}
}

// A connection that could not be opened in time is a timeout too.
func TestTransportDialTimeoutIsATimeout(t *testing.T) {
	transport := newRigTransport(t, rigURL, culvert.WithDialTimeout(time.Millisecond), culvert.WithTries(1),
		culvert.WithDialContext(func(ctx context.Context, _, _ string) (net.Conn, error) {
			<-ctx.Done()
			return nil, &net.OpError{Op: "dial", Err: ctx.Err()}
		}))
	err := doAndRead(&http.Client{Transport: transport}, newRigRequest(t, http.MethodGet, "/", nil))
	var urlErr *url.Error
	if !errors.As(err, &urlErr) || !urlErr.Timeout() {
		t.Errorf("error %v", err)
	}
}

// Handlers that are older than contexts are told in their way.
func TestTransportCancellationReachesCloseNotify(t *testing.T) {
	for _, w := range ways() {
		if w.unwatched() {
			continue
		}
		t.Run(w.String(), func(t *testing.T) {
			begun, told := make(chan struct{}), make(chan struct{})
			r := w.newRig(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				gone := w.(interface{ CloseNotify() <-chan bool }).CloseNotify()
				close(begun)
				<-gone
				close(told)
			}))
			ctx, cancel := context.WithCancel(t.Context())
			go func() {
				<-begun
				cancel()
			}()
			if err := doAndRead(r.client, newRigRequest(t, http.MethodGet, "/", nil).WithContext(ctx)); !errors.Is(err, context.Canceled) {
				t.Errorf("error %v", err)
			}
			<-told
		})
	}
}
