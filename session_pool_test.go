package culvert_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/culvert-http/culvert"
)

// countingRig is a rig that counts the RPCs of each method, and the connections
// that carry sessions.
type countingRig struct {
	*rig
	sessions, exchanges atomic.Int64
	conns               sync.Map
}

func newCountingRig(t *testing.T, app http.Handler, handlerOpts []culvert.HandlerOption, opts ...culvert.TransportOption) *countingRig {
	t.Helper()
	c := &countingRig{rig: &rig{}}
	_, handler := culvert.NewHandler(app, handlerOpts...)
	c.server = serveRig(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasSuffix(r.URL.Path, "/Session"):
			c.sessions.Add(1)
			c.conns.Store(r.RemoteAddr, nil)
		case strings.HasSuffix(r.URL.Path, "/Exchange"):
			c.exchanges.Add(1)
		}
		handler.ServeHTTP(w, r)
	}), true)
	c.handler = handler
	c.transport = newRigTransport(t, c.server.URL, opts...)
	c.client = &http.Client{Transport: c.transport}
	return c
}

// tellMethod answers with the RPC's method.
var tellMethod = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	peer, _ := culvert.PeerFromContext(r.Context())
	_, _ = io.WriteString(w, peer.Method)
})

func TestSessionsThatAgeAreReplaced(t *testing.T) {
	r := newCountingRig(t, tellMethod, []culvert.HandlerOption{culvert.WithSessionAge(5 * time.Millisecond)},
		culvert.WithMethod(culvert.MethodSession))
	for deadline := time.Now().Add(20 * time.Second); r.sessions.Load() < 5; {
		if got := readBody(t, r.get(t, "/")); got != "Session" {
			t.Fatalf("method %q", got)
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d sessions: they do not age", r.sessions.Load())
		}
	}
	if r.exchanges.Load() != 0 {
		t.Errorf("%d exchanges by themselves", r.exchanges.Load())
	}
}

func TestManyExchangesOpenAnotherSession(t *testing.T) {
	// A session takes 100 exchanges before its server has said how many it takes, so
	// that there may be more than two.
	if got := sessionsOf(t, 300); got < 2 || got > max(4, runtime.GOMAXPROCS(0)) {
		t.Errorf("%d sessions, want 2 to 4, or one for each processor", got)
	}
}

// Not to be run beside others: it sets how many processors there are.
func TestSessionsUseTheProcessorsThatThereAre(t *testing.T) {
	for _, processors := range []int{1, 2} {
		t.Run(fmt.Sprint(processors), func(t *testing.T) {
			defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(processors))
			if got := sessionsOf(t, 80); got != processors {
				t.Errorf("%d sessions of 80 exchanges on %d processors", got, processors)
			}
		})
	}
}

// sessionsOf returns how many sessions, each on its connection, carry so many
// exchanges at once.
func sessionsOf(t *testing.T, most int) int {
	t.Helper()
	var entered sync.WaitGroup
	entered.Add(most)
	leave := make(chan struct{})
	r := newCountingRig(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		entered.Done()
		<-leave
	}), nil, culvert.WithMethod(culvert.MethodSession))
	var all sync.WaitGroup
	for range most {
		all.Go(func() {
			resp, err := r.transport.RoundTrip(newRigRequest(t, http.MethodGet, "/", nil))
			if err != nil {
				t.Error(err)
				return
			}
			_ = resp.Body.Close()
		})
	}
	entered.Wait()
	close(leave)
	all.Wait()
	count := 0
	r.conns.Range(func(any, any) bool { count++; return true })
	return count
}

// What is more than one connection may have goes to a session on another.
func TestSessionsMoveBeyondTheServersLimit(t *testing.T) {
	const limit = 10
	var entered sync.WaitGroup
	entered.Add(3 * limit)
	leave := make(chan struct{})
	var mu sync.Mutex
	conns := make(map[string]int)
	r := newCountingRig(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		mu.Lock()
		conns[r.RemoteAddr]++
		mu.Unlock()
		entered.Done()
		<-leave
	}), []culvert.HandlerOption{culvert.WithMaxExchangesPerConn(limit)},
		culvert.WithMethod(culvert.MethodSession))
	var all sync.WaitGroup
	for range 3 * limit {
		all.Go(func() {
			resp, err := r.transport.RoundTrip(newRigRequest(t, http.MethodGet, "/", nil))
			if err != nil {
				t.Error(err)
				return
			}
			_ = resp.Body.Close()
		})
	}
	entered.Wait()
	close(leave)
	all.Wait()
	for conn, n := range conns {
		if n > limit {
			t.Errorf("%d exchanges on connection %s, want %d at most", n, conn, limit)
		}
	}
}

// New exchanges do not go where much is unread, and those that are not read are
// not lost.
func TestCrowdedSessionsAreLeftAlone(t *testing.T) {
	r := newCountingRig(t, neighbourApp(), nil,
		culvert.WithMethod(culvert.MethodSession), culvert.WithMaxSessionBytes(8<<20))
	unread := make([]*http.Response, 60) // windows of 256 KiB: more than one session keeps
	for i := range unread {
		unread[i] = r.get(t, "/endless")
	}
	for deadline := time.Now().Add(20 * time.Second); r.sessions.Load() < 3; {
		if got := readBody(t, r.get(t, "/small")); got != "hello world" {
			t.Fatalf("got %q", got)
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d sessions", r.sessions.Load())
		}
	}
	for i, resp := range unread {
		if n, err := io.CopyN(io.Discard, resp.Body, 1<<20); err != nil {
			t.Errorf("response %d ended after %d bytes: %v", i, n, err)
		}
		_ = resp.Body.Close()
	}
}

func TestAutoTakesSessionsWhereTheyAreRecommended(t *testing.T) {
	via := http.Header{"Via": {"1.1 mesh"}}
	for _, row := range []struct {
		name string
		mode culvert.SessionMode
		opts []culvert.TransportOption
		want string
	}{
		{"recommended", culvert.SessionsRecommend, nil, "Session"},
		{"allowed", culvert.SessionsAllow, nil, "Exchange"},
		{"off", culvert.SessionsOff, nil, "Exchange"},
		{"through an intermediary", culvert.SessionsRecommend, []culvert.TransportOption{culvert.WithHTTPHeader(via)}, "Exchange"},
		{"asked for", culvert.SessionsAllow, []culvert.TransportOption{culvert.WithMethod(culvert.MethodSession)}, "Session"},
	} {
		t.Run(row.name, func(t *testing.T) {
			r := newCountingRig(t, tellMethod, []culvert.HandlerOption{culvert.WithSessions(row.mode)}, row.opts...)
			asked := func() bool { return r.sessions.Load() > 0 }
			for deadline := time.Now().Add(20 * time.Second); ; {
				got := readBody(t, r.get(t, "/"))
				if got == row.want && asked() {
					break
				}
				if time.Now().After(deadline) {
					t.Fatalf("method %q, %d sessions; want %q", got, r.sessions.Load(), row.want)
				}
			}
			if row.want == "Exchange" { // and it stays so
				for range 20 {
					if got := readBody(t, r.get(t, "/")); got != row.want {
						t.Errorf("method %q, want %q", got, row.want)
					}
				}
			}
		})
	}
}

func TestSessionThatIsRefusedSaysSo(t *testing.T) {
	r := newCountingRig(t, tellMethod, []culvert.HandlerOption{culvert.WithSessions(culvert.SessionsOff)},
		culvert.WithMethod(culvert.MethodSession))
	_, err := r.transport.RoundTrip(newRigRequest(t, http.MethodGet, "/", nil))
	if err == nil || !strings.Contains(err.Error(), "permission denied") {
		t.Errorf("error %v", err)
	}
}

func TestShutdownDrainsSessions(t *testing.T) {
	entered, leave := make(chan struct{}), make(chan struct{})
	r := newCountingRig(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/late" { // it was before Shutdown has begun
			return
		}
		close(entered)
		<-leave
		fmt.Fprint(w, "done")
	}), nil, culvert.WithMethod(culvert.MethodSession), culvert.WithTries(1))
	body := make(chan string, 1)
	go func() { body <- readBody(t, r.get(t, "/")) }()
	<-entered
	shut := make(chan error, 1)
	go func() { shut <- r.handler.Shutdown(context.Background()) }()
	var err error
	for err == nil || !strings.Contains(err.Error(), "draining") {
		var resp *http.Response
		if resp, err = r.transport.RoundTrip(newRigRequest(t, http.MethodHead, "/late", nil)); err == nil {
			_ = resp.Body.Close()
			continue
		}
		if tunnelErr, ok := errors.AsType[*culvert.Error](err); !ok || !tunnelErr.NotStarted {
			t.Fatalf("refused with %v", err)
		}
	}
	if resp, err := r.transport.RoundTrip(newRigRequest(t, http.MethodHead, "/late", nil)); err == nil {
		_ = resp.Body.Close()
		t.Error("an exchange was started while the handler drains")
	}
	close(leave)
	if got := <-body; got != "done" {
		t.Errorf("what ran got %q", got)
	}
	if err := <-shut; err != nil {
		t.Errorf("Shutdown: %v", err)
	}
}

// TestServerShutdownEndsIdleSessions has the http.Server shut down, which knows of
// no Handler to do that with.
func TestServerShutdownEndsIdleSessions(t *testing.T) {
	started, release := make(chan struct{}), make(chan struct{})
	r := newRig(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			close(started)
			<-release
		}
		_, _ = io.WriteString(w, "hello")
	}), culvert.WithMethod(culvert.MethodSession))
	readBody(t, r.get(t, "/"))
	slow := make(chan string, 1)
	go func() { slow <- readBody(t, r.get(t, "/slow")) }()
	<-started
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	shut := make(chan error, 1)
	go func() { shut <- r.server.Config.Shutdown(ctx) }()
	close(release)
	if got := <-slow; got != "hello" {
		t.Errorf("the exchange that ran got %q", got)
	}
	if err := <-shut; err != nil {
		t.Errorf("Shutdown: %v", err)
	}
}

// TestTestServerClosesTheSessionsOfItsClient has an httptest.Server close that waits
// for every request, and a session is one. It asks the transport of its client to
// close what is idle.
func TestTestServerClosesTheSessionsOfItsClient(t *testing.T) {
	for _, method := range []culvert.Method{culvert.MethodSession, culvert.MethodAuto} {
		t.Run(method.String(), func(t *testing.T) {
			_, handler := culvert.NewHandler(http.NotFoundHandler())
			server := serveRig(t, handler, true)
			transport := newRigTransport(t, server.URL, culvert.WithMethod(method))
			server.Client().Transport = transport
			for range 10 { // auto has a session after some
				resp, err := server.Client().Do(newRigRequest(t, http.MethodGet, "/", nil))
				if err != nil {
					t.Fatal(err)
				}
				readBody(t, resp)
			}
			closed := make(chan struct{})
			go func() {
				defer close(closed)
				server.Close()
			}()
			select {
			case <-closed:
			case <-time.After(patience):
				t.Error("the server waits for a session that nothing runs in")
			}
		})
	}
}

// TestAutoLeavesSessionsThatAreRefused has a server take no more sessions that did
// before: it may have too many.
func TestAutoLeavesSessionsThatAreRefused(t *testing.T) {
	_, before := culvert.NewHandler(tellMethod)
	_, after := culvert.NewHandler(tellMethod, culvert.WithSessions(culvert.SessionsOff))
	var current atomic.Pointer[culvert.Handler]
	current.Store(before)
	r := &rig{server: serveRig(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		current.Load().ServeHTTP(w, r)
	}), true)}
	r.transport = newRigTransport(t, r.server.URL)
	for deadline := time.Now().Add(patience); readBody(t, r.get(t, "/")) != "Session"; {
		if time.Now().After(deadline) {
			t.Fatal("there is no session")
		}
	}
	current.Store(after)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := before.Shutdown(ctx); err != nil {
		t.Fatal(err)
	}
	for range 10 {
		if got := readBody(t, r.do(t, newRigRequest(t, http.MethodPost, "/", opaque{strings.NewReader("hello")}))); got != "Exchange" {
			t.Errorf("method %q", got)
		}
	}
}
