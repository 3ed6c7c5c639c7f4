package clients

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/culvert-http/culvert"
	"github.com/culvert-http/culvert/api/culvert/v1/culvertv1connect"
	"github.com/culvert-http/culvert/internal/server"
)

// attackLog is an application that remembers the requests that reach it.
type attackLog struct {
	mu   sync.Mutex
	seen []*http.Request
}

func (l *attackLog) ServeHTTP(_ http.ResponseWriter, r *http.Request) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.seen = append(l.seen, r)
}

func (l *attackLog) forget() []*http.Request {
	l.mu.Lock()
	defer l.mu.Unlock()
	seen := l.seen
	l.seen = nil
	return seen
}

// attackReport is what a page did: what Chromium sent, and what the page saw.
type attackReport struct {
	Seen []struct {
		Method, URL, Type string
		Status            int
	}
	Outcomes map[string]string
}

// sent reports whether a request with a media type was sent, without a preflight,
// and answered with a status.
func (r *attackReport) sent(method, mediaType string, status int) bool {
	for _, one := range r.Seen {
		if one.Method == method && strings.HasPrefix(one.Type, mediaType) && one.Status == status {
			return true
		}
	}
	return false
}

// attack has Chromium open a page of origin, which then attacks the server.
func attack(tb testing.TB, serverURL, origin, path, kind string) *attackReport {
	tb.Helper()
	node, dir := nodePackages(tb)
	chromium := need(tb, "chromium", installChromium)
	command := exec.CommandContext(tb.Context(), node, filepath.Join(dir, "attack.js"), serverURL, chromium, origin, path, kind)
	out, err := command.Output()
	if err != nil {
		tb.Fatalf("run the browser: %v\n%s", err, stderrOf(err))
	}
	report := new(attackReport)
	if err := json.Unmarshal(out, report); err != nil {
		tb.Fatalf("read what the browser saw: %v\n%s", err, out)
	}
	return report
}

// attackerOrigin serves an empty page, and returns its origin.
func attackerOrigin(tb testing.TB) string {
	tb.Helper()
	pages := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
	}))
	tb.Cleanup(pages.Close)
	return strings.Replace(pages.URL, "127.0.0.1", "attacker.example", 1)
}

// TestPageCannotCall has a page of another origin do whatever a page can do, and
// the application see nothing of it: what browsers send without a preflight is no
// media type of the protocols, and says where it comes from.
func TestPageCannotCall(t *testing.T) {
	t.Parallel()
	app, origin := new(attackLog), attackerOrigin(t)
	addr := serve(t, app)
	for _, path := range []string{culvertv1connect.HTTPServiceCallProcedure, culvertv1connect.HTTPServiceDownloadProcedure, culvertv1connect.HTTPServiceExchangeProcedure} {
		report := attack(t, "http://"+addr, origin, path, "page")
		for _, r := range app.forget() {
			t.Errorf("%s: the application saw %s %s", path, r.Method, r.URL)
		}
		for _, simple := range []string{"text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "text/ping", ""} {
			if path == culvertv1connect.HTTPServiceCallProcedure && !report.sent(http.MethodPost, simple, http.StatusForbidden) {
				t.Errorf("%s: %q was not sent, or not refused: %+v", path, simple, report.Seen)
			}
		}
		for attempt, outcome := range report.Outcomes {
			if strings.HasPrefix(outcome, "cors") || strings.HasPrefix(outcome, "basic") {
				t.Errorf("%s: the page could read the answer to %s: %s", path, attempt, outcome)
			}
		}
		if len(report.Outcomes) < 40 {
			t.Errorf("%s: %d attempts", path, len(report.Outcomes))
		}
	}
}

// TestPageThatIsLetInCalls shows that the page of [TestPageCannotCall] would get
// through.
func TestPageThatIsLetInCalls(t *testing.T) {
	t.Parallel()
	app, origin := new(attackLog), attackerOrigin(t)
	report := attack(t, "http://"+serve(t, app, origin), origin, culvertv1connect.HTTPServiceCallProcedure, "page")
	seen := app.forget()
	if len(seen) == 0 || report.Outcomes["cors application/json"] != "cors 200" {
		t.Errorf("the application saw %d requests, the page %v", len(seen), report.Outcomes)
	}
	// Of the rest, only what says what it is: beacons and fetches with JSON.
	for _, r := range seen {
		if r.URL.Path != "/attacked" {
			t.Errorf("the application saw %s", r.URL)
		}
	}
}

// TestReboundPageCannotCall has the name of a page come to be that of the
// loopback, so that the server is of its own origin.
func TestReboundPageCannotCall(t *testing.T) {
	t.Parallel()
	app := new(attackLog)
	transport, err := culvert.NewTransport("http://" + serve(t, app))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = transport.Close() })
	for name, addr := range map[string]string{
		"serve":   serve(t, app),
		"gateway": serveConfig(t, server.Config{Pattern: "/", Handler: culvert.NewGateway(transport)}),
	} {
		_, port, _ := strings.Cut(addr, ":")
		report := attack(t, "http://"+addr, "http://attacker.example:"+port, culvertv1connect.HTTPServiceCallProcedure, "rebound")
		for attempt, status := range report.Outcomes {
			if status != "421" {
				t.Errorf("%s: %s was answered with %s, want 421", name, attempt, status)
			}
		}
		if seen := app.forget(); len(seen) > 0 || len(report.Outcomes) == 0 {
			t.Errorf("%s: the application saw %d requests, of %d", name, len(seen), len(report.Outcomes))
		}
	}
}

// TestGatewayLeavesOriginToTheApplication shows that the application behind a
// gateway can tell pages apart by what browsers say of them.
func TestGatewayLeavesOriginToTheApplication(t *testing.T) {
	t.Parallel()
	app := new(attackLog)
	transport, err := culvert.NewTransport("http://" + serve(t, app))
	if err != nil {
		t.Fatal(err)
	}
	gateway := httptest.NewServer(culvert.NewGateway(transport))
	t.Cleanup(func() {
		gateway.Close()
		_ = transport.Close()
	})
	direct := new(attackLog)
	bare := httptest.NewServer(direct)
	t.Cleanup(bare.Close)
	origin := attackerOrigin(t)
	attack(t, gateway.URL, origin, "/attacked", "page")
	attack(t, bare.URL, origin, "/attacked", "page")
	got, want := fetchFields(app.forget()), fetchFields(direct.forget())
	for fields, count := range want {
		if got[fields] == 0 {
			t.Errorf("through the gateway there is no request with %s, of which there are %d without", fields, count)
		}
	}
	if len(want) < 8 {
		t.Errorf("there are only %d kinds of requests: %v", len(want), want)
	}
}

// fetchFields counts requests by what browsers say of their pages.
func fetchFields(requests []*http.Request) map[string]int {
	count := make(map[string]int)
	for _, r := range requests {
		line := r.Method
		for _, name := range []string{"Origin", "Sec-Fetch-Site", "Sec-Fetch-Mode", "Sec-Fetch-Dest", "Sec-Fetch-Storage-Access"} {
			line += " " + name + "=" + strings.Join(r.Header[name], ",")
		}
		count[line]++
	}
	return count
}
