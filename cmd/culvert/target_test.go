package main

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestFolder(t *testing.T) {
	dir := t.TempDir()
	outside := filepath.Join(dir, "outside.txt")
	public := filepath.Join(dir, "public")
	must(t, os.WriteFile(outside, []byte("secret"), 0o600))
	must(t, os.MkdirAll(filepath.Join(public, "sub"), 0o700))
	must(t, os.WriteFile(filepath.Join(public, "a.txt"), []byte("hello"), 0o600))
	must(t, os.Symlink("a.txt", filepath.Join(public, "inner")))
	must(t, os.Symlink(outside, filepath.Join(public, "absolute")))
	must(t, os.Symlink("../outside.txt", filepath.Join(public, "relative")))
	must(t, os.Symlink("..", filepath.Join(public, "up")))

	target, err := openTarget(public, &upstreamFlags{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { must(t, target.close()) }()
	for _, test := range []struct {
		path   string
		status int
		body   string
	}{
		{"/a.txt", http.StatusOK, "hello"},
		{"/inner", http.StatusOK, "hello"},
		{"/", http.StatusOK, `<a href="sub/">sub/</a>`},
		{"/missing", http.StatusNotFound, ""},
		{"/absolute", http.StatusForbidden, ""},
		{"/relative", http.StatusForbidden, ""},
		{"/up/outside.txt", http.StatusForbidden, ""},
		{"/../outside.txt", http.StatusNotFound, ""},
	} {
		recorder := httptest.NewRecorder()
		request := httptest.NewRequest(http.MethodGet, "http://localhost/", nil)
		request.URL.Path = test.path
		target.ServeHTTP(recorder, request)
		body := recorder.Body.String()
		if recorder.Code != test.status || !strings.Contains(body, test.body) || strings.Contains(body, "secret") {
			t.Errorf("GET %s: %d %q, want %d with %q", test.path, recorder.Code, body, test.status, test.body)
		}
	}
}

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}
