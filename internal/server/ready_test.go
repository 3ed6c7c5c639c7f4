package server

import (
	"io"
	"net/http"
	"testing"
)

func TestReadiness(t *testing.T) {
	config := tunnelConfig(http.NotFoundHandler())
	config.ReadyPath, config.LivePath = "/readyz", "/livez"
	_, addr := start(t, config, anyPort)
	for _, test := range []struct {
		name    string
		serving bool
		method  string
		path    string
		status  int
		body    string
	}{
		{"ready", true, http.MethodGet, "/readyz", http.StatusOK, "ready\n"},
		{"not ready", false, http.MethodGet, "/readyz", http.StatusServiceUnavailable, "not ready\n"},
		{"not ready, without a body", false, http.MethodHead, "/readyz", http.StatusServiceUnavailable, ""},
		{"alive", true, http.MethodGet, "/livez", http.StatusOK, "alive\n"},
		{"alive all the same", false, http.MethodGet, "/livez", http.StatusOK, "alive\n"},
		{"another method", true, http.MethodPost, "/readyz", http.StatusNotFound, hint},
		{"a path below", true, http.MethodGet, "/readyz/x", http.StatusNotFound, hint},
	} {
		t.Run(test.name, func(t *testing.T) {
			config.Health.SetServing(test.serving)
			status, body := get(t, test.method, "http://"+addr+test.path)
			if status != test.status || test.body != "" && body != test.body {
				t.Errorf("status %d with %q, want %d with %q", status, body, test.status, test.body)
			}
		})
	}
}

func get(tb testing.TB, method, url string) (status int, body string) {
	tb.Helper()
	req, err := http.NewRequestWithContext(testContext(tb), method, url, nil)
	if err != nil {
		tb.Fatal(err)
	}
	resp, err := newClient(tb, false).Do(req)
	if err != nil {
		tb.Fatal(err)
	}
	defer resp.Body.Close()
	content, err := io.ReadAll(resp.Body)
	if err != nil {
		tb.Fatal(err)
	}
	return resp.StatusCode, string(content)
}

func TestNoReadinessByDefault(t *testing.T) {
	_, addr := start(t, tunnelConfig(http.NotFoundHandler()), anyPort)
	for _, path := range []string{"/readyz", "/livez"} {
		if status, _ := get(t, http.MethodGet, "http://"+addr+path); status != http.StatusNotFound {
			t.Errorf("GET %s: status %d, want 404", path, status)
		}
	}
}

func TestPathsThatCannotBeServed(t *testing.T) {
	for _, test := range []struct {
		ready, live string
		valid       bool
	}{
		{"/readyz", "/livez", true},
		{"/a/b.c-d_e~", "", true},
		{"", "", true},
		{"readyz", "", false},
		{"/", "", false},
		{"/ready/", "", false},
		{"/{name}", "", false},
		{"GET /readyz", "", false},
		{"/a//b", "", false},
		{"/a/../b", "", false},
		{"/ready?x", "", false},
		{"/same", "/same", false},
		{callPath, "", false},
		{"/" + healthService + "/Check", "", false},
	} {
		config := tunnelConfig(http.NotFoundHandler())
		config.ReadyPath, config.LivePath = test.ready, test.live
		err := ValidateStatePaths(test.ready, test.live)
		if (err == nil) != test.valid {
			t.Errorf("%q and %q: %v, want valid %v", test.ready, test.live, err, test.valid)
		}
		if err == nil {
			if srv, err := New(config); err != nil {
				t.Errorf("%q and %q: New() = %v", test.ready, test.live, err)
			} else {
				srv.Close()
			}
		}
	}
}
