package auth

import (
	"cmp"
	"net/http"
	"testing"
)

func TestScope(t *testing.T) {
	authorities := Scope{Authorities: []string{"app.example", "other.example:8443", "[::1]"}}
	methods := Scope{Methods: []string{"GET", "POST"}}
	paths := Scope{Paths: []string{"/api", "/static/", "/one/two"}}
	everything := Scope{}
	for _, test := range []struct {
		scope                *Scope
		method, host, target string
		field, value         string // DELETE, if nothing else is said
		want                 error
	}{
		{scope: &everything, method: "BREW", host: "x", target: "//../%2f"},
		{scope: &authorities, host: "app.example"},
		{scope: &authorities, host: "APP.Example:80"},
		{scope: &authorities, host: "other.example:8443"},
		{scope: &authorities, host: "[::1]:80"},
		{scope: &authorities, host: "[::1]"},
		{scope: &authorities, host: "other.example", want: errAuthority},
		{scope: &authorities, host: "other.example:443", want: errAuthority},
		{scope: &authorities, host: "app.example.", want: errAuthority},
		{scope: &authorities, host: "app.example:evil", want: errAuthority},
		{scope: &authorities, host: "app.example:80:80", want: errAuthority},
		{scope: &authorities, host: "evil.app.example", want: errAuthority},
		{scope: &authorities, host: "", want: errAuthority},
		{scope: &authorities, host: "app.example:"},
		{scope: &authorities, host: "[app.example]:80", want: errAuthority},
		{scope: &authorities, host: "app.example", field: "X-Original-Host", value: "APP.example:80"},
		{scope: &authorities, host: "app.example", field: "X-Original-Host", value: "evil.example", want: errOverride},
		{scope: &authorities, host: "app.example", field: "x_host", value: "evil.example", want: errOverride},
		{scope: &authorities, host: "app.example", field: "X-Http-Host-Override", value: " ", want: errOverride},
		{scope: &paths, target: "/api", field: "X-Host", value: "evil.example"},
		{scope: &methods, method: "GET"},
		{scope: &methods, method: "get", want: errMethod},
		{scope: &methods, method: "HEAD", want: errMethod},
		{scope: &methods, method: "DELETE", want: errMethod},
		{scope: &methods, method: "POST", field: "X-Http-Method-Override", want: errOverride},
		{scope: &methods, method: "POST", field: "X_http_METHOD_override", want: errOverride},
		{scope: &methods, method: "POST", field: "X-Method-Override", want: errOverride},
		{scope: &methods, method: "POST", field: "X-Http-Method", want: errOverride},
		{scope: &methods, method: "POST", field: "X.Http.Method~Override", want: errOverride},
		{scope: &methods, method: "POST", field: "X-Original-Method", want: errOverride},
		{scope: &methods, method: "POST", field: "X-Http-Method-Override", value: "get"},
		{scope: &methods, method: "POST", field: "X-Http-Method-Override", value: "GET, DELETE", want: errOverride},
		{scope: &methods, method: "POST", field: "X-Original-Url", value: "/admin"},
		{scope: &paths, method: "DELETE", field: "X-Http-Method", target: "/api"},
		{scope: &paths, target: "/api", field: "X-Original-Url", value: "/api/x?y"},
		{scope: &paths, target: "/api", field: "X-Original-Url", value: "https://app.example/api"},
		{scope: &paths, target: "/api", field: "X-Original-Url", value: "/admin", want: errOverride},
		{scope: &paths, target: "/api", field: "X-Original-Url", value: "https://app.example", want: errOverride},
		{scope: &paths, target: "/api", field: "X-Original-Url", value: "admin", want: errOverride},
		{scope: &paths, target: "/api", field: "x_rewrite_url", value: "/api/../admin", want: errOverride},
		{scope: &paths, target: "/api", field: "X-Original-Uri", value: "/admin", want: errOverride},
		{scope: &paths, target: "/api"},
		{scope: &paths, target: "/api/"},
		{scope: &paths, target: "/api/x/y?z=/../admin"},
		{scope: &paths, target: "/api/caf%C3%A9"},
		{scope: &paths, target: "/api/a%20b"},
		{scope: &paths, target: "/static/x"},
		{scope: &paths, target: "/one/two/three"},
		{scope: &paths, target: "/", want: errPath},
		{scope: &paths, target: "/apis", want: errPath},
		{scope: &paths, target: "/API", want: errPath},
		{scope: &paths, target: "/%61pi", want: errPath},
		{scope: &paths, target: "/static", want: errPath},
		{scope: &paths, target: "/one", want: errPath},
		{scope: &paths, target: "/one%2ftwo", want: errAmbiguous},
		{scope: &paths, target: "/admin", want: errPath},
		{scope: &paths, target: "*", want: errAmbiguous},
		{scope: &paths, target: "//api", want: errAmbiguous},
		{scope: &paths, target: "/api//x", want: errAmbiguous},
		{scope: &paths, target: "/api/../admin", want: errAmbiguous},
		{scope: &paths, target: "/api/..", want: errAmbiguous},
		{scope: &paths, target: "/api/./x", want: errAmbiguous},
		{scope: &paths, target: "/api/%2e%2e/admin", want: errAmbiguous},
		{scope: &paths, target: "/api/.%2E/admin", want: errAmbiguous},
		{scope: &paths, target: "/api/..%2fadmin", want: errAmbiguous},
		{scope: &paths, target: "/api%2Fx", want: errAmbiguous},
		{scope: &paths, target: "/api/..%5cadmin", want: errAmbiguous},
		{scope: &paths, target: `/api/..\admin`, want: errAmbiguous},
		{scope: &paths, target: "/api/..;/admin", want: errAmbiguous},
		{scope: &paths, target: "/api/..%3b/admin", want: errAmbiguous},
		{scope: &paths, target: "/api/%252e%252e/admin", want: errAmbiguous},
		{scope: &paths, target: "/api/%25%32%65%25%32%65/admin", want: errAmbiguous},
		{scope: &paths, target: "/api/..%00/admin", want: errAmbiguous},
		{scope: &paths, target: "/api/%0a", want: errAmbiguous},
		{scope: &paths, target: "/api/%c0%ae%c0%ae/admin", want: errAmbiguous},
		{scope: &paths, target: "/api/%ff", want: errAmbiguous},
		{scope: &paths, target: "/api/%zz", want: errAmbiguous},
		{scope: &paths, target: "/api/100%25", want: errAmbiguous},
		{scope: &paths, target: "/api/..#", want: errAmbiguous},
		{scope: &paths, target: "/one/two/..#/../x", want: errAmbiguous},
		{scope: &paths, target: "/api/x#y", want: errAmbiguous},
		{scope: &paths, target: "/api/..%23", want: errAmbiguous},
		{scope: &paths, target: "/api/..%3f/x", want: errAmbiguous},
		{scope: &paths, target: "/api/c%23"},
		{scope: &paths, target: "/api/..%20/admin", want: errAmbiguous},
		{scope: &paths, target: "/api/.../admin", want: errAmbiguous},
		{scope: &paths, target: "/api/%ef%bc%8e%ef%bc%8e/admin", want: errAmbiguous},
		{scope: &paths, target: "/api/\u2025/admin", want: errAmbiguous},
		{scope: &paths, target: "/api/..\u2215admin", want: errAmbiguous},
		{scope: &paths, target: "/api/..%ef%bc%8fadmin", want: errAmbiguous},
		{scope: &paths, target: "/api/hmm…"},
	} {
		if err := test.scope.Validate(); err != nil {
			t.Fatal(err)
		}
		r := &http.Request{Method: test.method, Host: test.host, RequestURI: test.target, Header: http.Header{}}
		if test.field != "" {
			r.Header[test.field] = []string{cmp.Or(test.value, "DELETE")}
		}
		if got := test.scope.check(r); got != test.want {
			t.Errorf("%s %s%s, %s: %v, want %v", test.method, test.host, test.target, test.field, got, test.want)
		}
	}
}

func TestScopeRefusesListsThatMakeNoSense(t *testing.T) {
	for _, scope := range []Scope{
		{Authorities: []string{""}},
		{Authorities: []string{"http://x"}},
		{Authorities: []string{"*.example"}},
		{Methods: []string{"G T"}},
		{Methods: []string{""}},
		{Paths: []string{"api"}},
		{Paths: []string{"/api/../x"}},
		{Paths: []string{"/a//b"}},
		{Paths: []string{"/a?b"}},
		{Paths: []string{"/a*"}},
	} {
		if scope.Validate() == nil {
			t.Errorf("%+v was taken", scope)
		}
	}
}
