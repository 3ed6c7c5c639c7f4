package server

import (
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"connectrpc.com/connect"
	"github.com/culvert-http/culvert"
	culvertv1 "github.com/culvert-http/culvert/api/culvert/v1"
	"github.com/culvert-http/culvert/api/culvert/v1/culvertv1connect"
)

const (
	pageOrigin = "https://page.example"
	evilOrigin = "https://evil.example"
	callPath   = "/" + culvert.ServiceName + "/Call"
)

// countingApp counts its requests.
type countingApp struct{ requests atomic.Int64 }

func (a *countingApp) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	a.requests.Add(1)
	// What the application says of CORS is in its response, not in that of the RPC.
	w.Header().Set("Access-Control-Allow-Origin", "https://of.the.application")
}

func corsConfig(app http.Handler, cors CORS) Config {
	config := tunnelConfig(app)
	config.CORS = cors
	return config
}

// preflight asks what a browser asks before it lets a page send fields.
func preflight(tb testing.TB, addr, path, origin, method, fields string) http.Header {
	tb.Helper()
	resp := send(tb, addr, http.MethodOptions, path, "", http.Header{
		"Origin":                         {origin},
		"Access-Control-Request-Method":  {method},
		"Access-Control-Request-Headers": {fields},
	})
	return resp.Header
}

func send(tb testing.TB, addr, method, path, body string, header http.Header) *http.Response {
	tb.Helper()
	req, err := http.NewRequestWithContext(testContext(tb), method, "http://"+addr+path, strings.NewReader(body))
	if err != nil {
		tb.Fatal(err)
	}
	req.Header = header
	resp, err := newClient(tb, false).Do(req)
	if err != nil {
		tb.Fatal(err)
	}
	resp.Body.Close()
	return resp
}

func TestPreflight(t *testing.T) {
	const connectFields, grpcWebFields = "connect-protocol-version,connect-timeout-ms,content-type",
		"content-type,grpc-timeout,x-grpc-web,x-user-agent"
	_, open := start(t, corsConfig(http.NotFoundHandler(), CORS{
		Origins: []string{"HTTPS://Page.example:443", "http://localhost:5173"},
		Headers: []string{"Authorization"},
	}), anyPort)
	_, closed := start(t, tunnelConfig(http.NotFoundHandler()), anyPort)
	for _, test := range []struct {
		name                         string
		addr, origin, method, fields string
		allowed                      bool
	}{
		{"connect", open, pageOrigin, "POST", connectFields, true},
		{"grpc-web", open, "http://localhost:5173", "POST", grpcWebFields, true},
		{"a configured field", open, pageOrigin, "POST", "authorization,content-type", true},
		{"another field", open, pageOrigin, "POST", "content-type,x-other", false},
		{"another method", open, pageOrigin, "PUT", connectFields, false},
		{"another origin", open, evilOrigin, "POST", connectFields, false},
		{"another port", open, "https://page.example:8443", "POST", connectFields, false},
		{"another scheme", open, "http://page.example", "POST", connectFields, false},
		{"a name below", open, "https://sub.page.example", "POST", connectFields, false},
		{"a file or a sandboxed frame", open, "null", "POST", connectFields, false},
		{"no origin configured", closed, pageOrigin, "POST", connectFields, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := preflight(t, test.addr, callPath, test.origin, test.method, test.fields)
			want := http.Header{}
			if test.allowed {
				want.Set("Access-Control-Allow-Origin", test.origin)
				want.Set("Access-Control-Allow-Methods", "POST")
				want.Set("Access-Control-Allow-Headers", test.fields)
				want.Set("Access-Control-Max-Age", "7200")
			}
			expectCORS(t, got, want)
			if test.addr == open && !strings.Contains(got.Get("Vary"), "Origin") {
				t.Errorf("Vary is %q: a cache would answer one origin with what another got", got.Get("Vary"))
			}
		})
	}
}

// expectCORS compares every Access-Control field.
func expectCORS(tb testing.TB, got, want http.Header) {
	tb.Helper()
	for _, name := range []string{
		"Access-Control-Allow-Origin", "Access-Control-Allow-Methods", "Access-Control-Allow-Headers",
		"Access-Control-Allow-Credentials", "Access-Control-Expose-Headers", "Access-Control-Max-Age",
	} {
		if got.Get(name) != want.Get(name) || len(got[name]) > 1 {
			tb.Errorf("%s is %q, want %q", name, got[name], want.Get(name))
		}
	}
}

func TestPreflightOfEveryOrigin(t *testing.T) {
	_, addr := start(t, corsConfig(http.NotFoundHandler(), CORS{Origins: []string{AnyOrigin}}), anyPort)
	got := preflight(t, addr, callPath, evilOrigin, "POST", "content-type").Get("Access-Control-Allow-Origin")
	if got != "*" {
		t.Errorf("Access-Control-Allow-Origin is %q, want *", got)
	}
}

func TestCredentialsAreForThoseThatAreNamed(t *testing.T) {
	_, addr := start(t, corsConfig(http.NotFoundHandler(), CORS{Origins: []string{pageOrigin}, Credentials: true}), anyPort)
	for origin, want := range map[string]string{pageOrigin: "true", evilOrigin: ""} {
		got := preflight(t, addr, callPath, origin, "POST", "content-type").Get("Access-Control-Allow-Credentials")
		if got != want {
			t.Errorf("%s: Access-Control-Allow-Credentials is %q, want %q", origin, got, want)
		}
	}
	if err := (&CORS{Origins: []string{pageOrigin, AnyOrigin}, Credentials: true}).Validate(); err == nil {
		t.Error("credentials for every origin are valid")
	}
	if err := (&CORS{Credentials: true}).Validate(); err == nil {
		t.Error("credentials for no origin are valid")
	}
}

// originOf has the requests of a client come from a page.
type originOf struct {
	http.RoundTripper
	origin string
	header http.Header
}

func (o *originOf) RoundTrip(req *http.Request) (*http.Response, error) {
	req.Header.Set("Origin", o.origin)
	resp, err := o.RoundTripper.RoundTrip(req)
	if err == nil {
		o.header = resp.Header
	}
	return resp, err
}

func TestResponsesAreShownToTheirPage(t *testing.T) {
	_, addr := start(t, corsConfig(&countingApp{}, CORS{Origins: []string{pageOrigin}}), anyPort)
	for name, opts := range map[string][]connect.ClientOption{
		"connect": nil, "grpc-web": {connect.WithGRPCWeb()},
	} {
		for _, origin := range []string{pageOrigin, evilOrigin} {
			t.Run(name+" from "+origin, func(t *testing.T) {
				page := &originOf{RoundTripper: newClient(t, false).Transport, origin: origin}
				client := culvertv1connect.NewHTTPServiceClient(&http.Client{Transport: page}, "http://"+addr, opts...)
				_, err := client.Call(testContext(t), connect.NewRequest(&culvertv1.HTTPRequest{}))
				if refused := connect.CodeOf(err) == connect.CodePermissionDenied; err != nil && !refused || refused != (origin == evilOrigin) {
					t.Fatal(err)
				}
				want := http.Header{}
				if origin == pageOrigin {
					want.Set("Access-Control-Allow-Origin", pageOrigin)
					want.Set("Access-Control-Expose-Headers", "Grpc-Status, Grpc-Message, Grpc-Status-Details-Bin")
				}
				expectCORS(t, page.header, want)
			})
		}
	}
}

// Browsers send some requests of a page without asking first. None of them is an
// RPC, whatever the configuration of CORS.
func TestRequestsWithoutAPreflightDoNotReachTheApplication(t *testing.T) {
	for name, cors := range map[string]CORS{
		"none":   {},
		"others": {Origins: []string{pageOrigin}},
		"all":    {Origins: []string{AnyOrigin}},
	} {
		t.Run(name, func(t *testing.T) {
			app := &countingApp{}
			_, addr := start(t, corsConfig(app, cors), anyPort)
			for _, contentType := range []string{
				"", "text/plain", "text/plain;charset=UTF-8", "application/x-www-form-urlencoded",
				"multipart/form-data; boundary=x", "text/plain; application/json",
			} {
				header := http.Header{"Origin": {evilOrigin}}
				if contentType != "" {
					header.Set("Content-Type", contentType)
				}
				for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPost} {
					path := callPath
					if method != http.MethodPost {
						path += "?connect=v1&encoding=json&message=%7B%7D"
					}
					if resp := send(t, addr, method, path, `{}`, header); resp.StatusCode < 400 {
						t.Errorf("%s with %q: status %d", method, contentType, resp.StatusCode)
					}
				}
			}
			if n := app.requests.Load(); n != 0 {
				t.Errorf("%d requests reached the application", n)
			}
		})
	}
}

func TestPreflightOfAForeignHost(t *testing.T) {
	_, addr := start(t, corsConfig(http.NotFoundHandler(), CORS{Origins: []string{AnyOrigin}}), anyPort)
	req, err := http.NewRequestWithContext(testContext(t), http.MethodOptions, "http://"+addr+callPath, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Host = "evil.example"
	req.Header.Set("Origin", "http://evil.example")
	req.Header.Set("Access-Control-Request-Method", "POST")
	resp, err := newClient(t, false).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusMisdirectedRequest || resp.Header.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("status %d, %v: a name that was made to resolve to the loopback gets in", resp.StatusCode, resp.Header)
	}
}

func TestOrigins(t *testing.T) {
	for origin, want := range map[string]string{
		"*":                         "*",
		"https://app.example":       "https://app.example",
		"HTTP://App.Example:80":     "http://app.example",
		"https://app.example:80":    "https://app.example:80",
		"https://[2001:DB8::1]:443": "https://[2001:db8::1]",
		"chrome-extension://abc":    "chrome-extension://abc",
		"":                          "",
		"null":                      "",
		"app.example":               "",
		"localhost:5173":            "",
		"https://":                  "",
		"https://app.example/":      "",
		"https://a:b@app.example":   "",
		"https://app.example?":      "",
		"https://*.app.example":     "",
	} {
		got, err := normalOrigin(origin)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("normalOrigin(%q) = %q, %v, want %q", origin, got, err, want)
		}
	}
}
