package culvert_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"connectrpc.com/connect"

	"github.com/culvert-http/culvert"
	culvertv1 "github.com/culvert-http/culvert/api/culvert/v1"
)

const unauthenticated = culvertv1.Cause_CAUSE_UNAUTHENTICATED

// refuse is an Authenticator that lets nobody in.
func refuse(err error) culvert.HandlerOption {
	return culvert.WithAuthenticator(func(*http.Request) (culvert.Identity, error) { return culvert.Identity{}, err })
}

// What is no message at all is not found out to be one: nobody has read it.
func TestRefusalComesBeforeAnyMessageIsDecoded(t *testing.T) {
	inner := http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the application ran") })
	for _, test := range []struct {
		name  string
		err   error
		cause culvertv1.Cause
		code  connect.Code
		http  int // of Connect's unary calls
	}{
		{"unauthenticated", errors.New("secret reason"), unauthenticated, connect.CodeUnauthenticated, http.StatusUnauthorized},
		{
			"denied", &culvert.Error{Cause: culvertv1.Cause_CAUSE_PERMISSION_DENIED, Err: errors.New("secret reason")},
			culvertv1.Cause_CAUSE_PERMISSION_DENIED, connect.CodePermissionDenied, http.StatusForbidden,
		},
	} {
		tunnel := newTunnel(t, inner, refuse(test.err))
		for _, method := range []string{"Call", "Upload", "Download", "Exchange", "Session"} {
			for _, w := range rpcWires {
				t.Run(test.name+"/"+method+"/"+w.String(), func(t *testing.T) {
					got := tunnel.call(t, w, method, strings.NewReader("\x00this is no message"))
					want := http.StatusOK
					if !w.enveloped(method) {
						want = test.http
					}
					if got.cause != test.cause || got.code != test.code || got.httpStatus != want || got.notStarted {
						t.Errorf("got %v, want %v with HTTP %d", got, test.cause, want)
					}
					if strings.Contains(got.message, "secret") {
						t.Errorf("the client was told %q", got.message)
					}
				})
			}
		}
	}
}

func TestRefusalInTextMode(t *testing.T) {
	tunnel := newTunnel(t, http.NotFoundHandler(), refuse(errors.New("no")))
	resp, err := tunnel.h1.Post(tunnel.url+"/"+culvert.ServiceName+"/Call", "application/grpc-web-text", strings.NewReader("!"))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	trailer, err := base64.StdEncoding.DecodeString(string(body))
	if err != nil {
		t.Fatalf("%q: %v", body, err)
	}
	if status := resp.Header.Get("Grpc-Status"); status != "16" && !strings.Contains(strings.ToLower(string(trailer)), "grpc-status: 16") {
		t.Errorf("grpc-status %q, trailer %q, want 16", status, trailer)
	}
}

// blocker is an application that says when it has begun, and goes on when its
// request is over or it is told to.
type blocker struct{ begun, proceed chan struct{} }

func newBlocker() *blocker {
	return &blocker{begun: make(chan struct{}, 1), proceed: make(chan struct{})}
}

func (b *blocker) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/quick":
		return
	case "/body":
		b.begun <- struct{}{}
		_, _ = io.Copy(io.Discard, r.Body)
		return
	case "/flushed":
		_ = http.NewResponseController(w).Flush()
	}
	b.begun <- struct{}{}
	select {
	case <-r.Context().Done():
	case <-b.proceed:
	}
}

// Whatever runs under a credential does not outlive it.
func TestCredentialThatEndsCutsWhatRuns(t *testing.T) {
	for _, w := range ways() {
		for _, path := range []string{"/", "/flushed", "/body"} {
			if path == "/flushed" && !w.streamsResponse() || path == "/body" && !w.streamsRequest() {
				continue
			}
			t.Run(w.String()+path, func(t *testing.T) {
				credential, revoke := context.WithCancel(t.Context())
				defer revoke()
				app := newBlocker()
				tunnel := newTunnel(t, app, culvert.WithCredentialGrace(0),
					culvert.WithAuthenticator(func(*http.Request) (culvert.Identity, error) {
						return culvert.Identity{Name: "somebody", Revoked: credential}, nil
					}))
				transport := newRigTransport(t, w.server(t, tunnel), w.options()...)
				go func() {
					<-app.begun
					revoke()
				}()
				wantCause(t, roundTrip(t, transport, path), unauthenticated)
			})
		}
	}
}

// server returns the URL of the tunnel in a version of HTTP.
func (w way) server(tb testing.TB, tunnel *tunnel) string {
	tb.Helper()
	if w.http2 {
		return tunnel.url
	}
	return serveRig(tb, tunnel.handler, false).URL
}

// roundTrip sends a request, whose body never ends where the path says so, and
// returns what came of it.
func roundTrip(tb testing.TB, transport *culvert.Transport, path string) error {
	tb.Helper()
	var body io.Reader
	if path == "/body" {
		reader, writer := io.Pipe()
		tb.Cleanup(func() { _ = writer.Close() })
		body = reader
	}
	// Without a deadline, which would wake at the server what the test is about.
	ctx, cancel := context.WithCancel(tb.Context())
	defer time.AfterFunc(patience, cancel).Stop()
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, rigURL+path, body)
	if err != nil {
		tb.Fatal(err)
	}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	return err
}

// A handler that has upgraded notices the cut and closes its connection, as every
// proxy does. That must not look like the end of what it had to say.
func TestCredentialThatEndsCutsAnUpgrade(t *testing.T) {
	for _, w := range ways() {
		if !w.duplex() {
			continue
		}
		t.Run(w.String(), func(t *testing.T) {
			credential, revoke := context.WithCancel(t.Context())
			defer revoke()
			app := switchTo(t, func(conn io.ReadWriteCloser) { _, _ = io.Copy(io.Discard, conn) })
			tunnel := newTunnel(t, app, culvert.WithCredentialGrace(0),
				culvert.WithAuthenticator(func(*http.Request) (culvert.Identity, error) {
					return culvert.Identity{Name: "somebody", Revoked: credential}, nil
				}))
			transport := newRigTransport(t, w.server(t, tunnel), w.options()...)
			resp, err := transport.RoundTrip(newUpgradeRequest(t))
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			revoke()
			if _, err := io.Copy(io.Discard, resp.Body); err == nil {
				t.Error("what was cut looks complete")
			}
		})
	}
}

// The end of a credential is a drain at first: what runs may finish, and what
// comes next comes with a new one.
func TestCredentialThatEndsDrainsItsSession(t *testing.T) {
	var asked atomic.Int32
	first, revoke := context.WithCancel(t.Context())
	defer revoke()
	app := newBlocker()
	tunnel := newTunnel(t, app, culvert.WithCredentialGrace(time.Hour),
		culvert.WithAuthenticator(func(*http.Request) (culvert.Identity, error) {
			switch asked.Add(1) {
			case 1:
				return culvert.Identity{Name: "first", Revoked: first}, nil
			case 2:
				return culvert.Identity{Name: "second"}, nil
			default:
				return culvert.Identity{}, errors.New("nobody is left")
			}
		}))
	transport := newRigTransport(t, tunnel.url, culvert.WithMethod(culvert.MethodSession))

	var running sync.WaitGroup
	running.Go(func() {
		if err := roundTrip(t, transport, "/flushed"); err != nil {
			t.Errorf("the exchange that ran when the credential ended: %v", err)
		}
	})
	<-app.begun
	for range 3 {
		if err := roundTrip(t, transport, "/quick"); err != nil {
			t.Fatal(err)
		}
	}
	if n := asked.Load(); n != 1 {
		t.Fatalf("%d sessions before the credential ended, want 1", n)
	}
	revoke()
	waitFor(t, func() bool {
		if err := roundTrip(t, transport, "/quick"); err != nil {
			t.Fatal(err)
		}
		return asked.Load() == 2
	})
	close(app.proceed)
	running.Wait()
}

// An identity that has expired is as one that was revoked.
func TestIdentityOfMiddleware(t *testing.T) {
	seen := make(chan culvert.Peer, 1)
	_, handler := culvert.NewHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		peer, _ := culvert.PeerFromContext(r.Context())
		seen <- peer
		<-r.Context().Done()
	}), culvert.WithCredentialGrace(time.Millisecond))
	server := serveRig(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		identity := culvert.Identity{Name: "by middleware", Expires: time.Now().Add(50 * time.Millisecond)}
		handler.ServeHTTP(w, r.WithContext(culvert.WithIdentity(r.Context(), identity)))
	}), true)
	for _, method := range []culvert.Method{culvert.MethodExchange, culvert.MethodSession} {
		transport := newRigTransport(t, server.URL, culvert.WithMethod(method))
		_, err := transport.RoundTrip(newRigRequest(t, http.MethodGet, "/", nil))
		wantCause(t, err, unauthenticated)
		if peer := <-seen; peer.Identity.Name != "by middleware" || peer.Identity.Trusted {
			t.Errorf("%v: identity %+v", method, peer.Identity)
		}
	}
}

func ExampleWithIdentity() {
	app := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		peer, _ := culvert.PeerFromContext(r.Context())
		fmt.Fprintf(w, "hello %s\n", peer.Identity.Name)
	})
	pattern, handler := culvert.NewHandler(app)
	guarded := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, password, ok := r.BasicAuth()
		if !ok || password != "correct horse" { // compare hashes, in constant time
			w.Header().Set("WWW-Authenticate", "Basic")
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		ctx := culvert.WithIdentity(r.Context(), culvert.Identity{Name: user})
		handler.ServeHTTP(w, r.WithContext(ctx))
	})
	mux := http.NewServeMux()
	mux.Handle(pattern, guarded)
}

// The credentials of the tunnel are nothing of the application's, and its own
// pass.
func TestCredentialsStayOutside(t *testing.T) {
	var mu sync.Mutex
	var seen []string
	tunnel := newTunnel(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		peer, _ := culvert.PeerFromContext(r.Context())
		mu.Lock()
		defer mu.Unlock()
		seen = append(seen, r.Header.Get("Authorization"), peer.Header.Get("Authorization"), peer.Header.Get("X-Other"))
	}), culvert.WithAuthenticator(func(r *http.Request) (culvert.Identity, error) {
		if r.Header.Get("Authorization") != "Bearer of the tunnel" {
			return culvert.Identity{}, errors.New("no token")
		}
		return culvert.Identity{}, nil
	}))
	for _, w := range ways() {
		transport := newRigTransport(t, w.server(t, tunnel), append(w.options(),
			culvert.WithToken(func() string { return "of the tunnel" }),
			culvert.WithHTTPHeader(http.Header{"X-Other": {"here"}}))...)
		for _, own := range []string{"", "Bearer of the application"} {
			req := newRigRequest(t, http.MethodGet, "/", nil)
			if own != "" {
				req.Header.Set("Authorization", own)
			}
			resp, err := transport.RoundTrip(req)
			if err != nil {
				t.Fatal(w, err)
			}
			readBody(t, resp)
			if got, want := strings.Join(seen, "|"), own+"||here"; got != want {
				t.Errorf("%s: the application saw %q, want %q", w, got, want)
			}
			seen = nil
		}
	}
}
