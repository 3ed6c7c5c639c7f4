package culvert_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"syscall"
	"testing"

	"github.com/culvert-http/culvert"
)

// cutConn loses the connection after a number of bytes from the server.
type cutConn struct {
	net.Conn
	left int
}

func (c *cutConn) Read(p []byte) (int, error) {
	if c.left == 0 {
		_ = c.Close()
		return 0, io.EOF
	}
	n, err := c.Conn.Read(p[:min(len(p), c.left)])
	c.left -= n
	return n, err
}

// resetConn loses the connection by a reset when something was read.
type resetConn struct {
	net.Conn
	read  int
	after int
}

func (c *resetConn) Read(p []byte) (int, error) {
	if c.read >= c.after {
		return 0, &net.OpError{Op: "read", Net: "tcp", Err: os.NewSyscallError("read", syscall.ECONNRESET)}
	}
	n, err := c.Conn.Read(p[:min(len(p), c.after-c.read)])
	c.read += n
	return n, err
}

// Connect gives a reset the code of a cancellation.
func TestTransportResetIsNoCancellation(t *testing.T) {
	large := mebibytes(1)
	app := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, large) })
	for _, protocol := range protocols {
		for _, after := range []int{20, 100_000} { // before the head, and in the body
			r := newRig(t, app, culvert.WithProtocol(protocol), culvert.WithMethod(culvert.MethodExchange),
				culvert.WithTries(1), culvert.WithDialContext(
					func(ctx context.Context, network, address string) (net.Conn, error) {
						conn, err := new(net.Dialer).DialContext(ctx, network, address)
						return &resetConn{Conn: conn, after: after}, err
					}))
			resp, err := r.transport.RoundTrip(newRigRequest(t, http.MethodGet, "/", nil))
			ofBody := err == nil
			if ofBody {
				_, err = io.ReadAll(resp.Body)
				_ = resp.Body.Close()
			}
			if _, ok := errors.AsType[*culvert.Error](err); !ok || errors.Is(err, context.Canceled) {
				t.Errorf("%s, reset after %d bytes: error %T %v", protocol, after, err, err)
			}
			if ofBody && !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("%s, reset after %d bytes: error %v of the body", protocol, after, err)
			}
		}
	}
}

// Wherever the connection is cut, the response is an error or complete.
func TestTransportCutAtEveryByte(t *testing.T) {
	t.Parallel()
	app := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, "hello ")
		_ = http.NewResponseController(w).Flush()
		fmt.Fprint(w, "world")
		w.Header().Set(http.TrailerPrefix+"X-Sum", "1")
	})
	for _, w := range ways() {
		t.Run(w.String(), func(t *testing.T) {
			t.Parallel()
			whole := newRigSpeaking(t, app, w.http2, w.options()...)
			complete := 0
			for cut := 1; complete < 20; cut++ {
				if cut > 2000 {
					t.Fatal("never complete")
				}
				if readCut(t, whole.server.URL, w, cut) {
					complete++
				} else {
					complete = 0
				}
			}
		})
	}
}

// readCut reports whether the response was complete.
func readCut(t *testing.T, url string, w way, cut int) bool {
	t.Helper()
	first := true
	transport := newRigTransport(t, url, append(w.options(), culvert.WithTries(1), culvert.WithDialContext(
		func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := new(net.Dialer).DialContext(ctx, network, address)
			if first || err != nil { // asks what the server speaks
				first = false
				return conn, err
			}
			return &cutConn{conn, cut}, nil
		}))...)
	defer transport.Close()
	resp, err := transport.RoundTrip(newRigRequest(t, http.MethodGet, "/", nil))
	var body []byte
	if err == nil {
		body, err = io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("cut at %d: error %v of the body", cut, err)
		}
	}
	var tunnelErr *culvert.Error
	switch {
	case err != nil && !errors.As(err, &tunnelErr):
		t.Errorf("cut at %d: error %T %v", cut, err, err)
	case err == nil && (!bytes.Equal(body, []byte("hello world")) || resp.Trailer.Get("X-Sum") != "1"):
		t.Errorf("cut at %d: complete with %q %v", cut, body, resp.Trailer)
	}
	return err == nil
}
