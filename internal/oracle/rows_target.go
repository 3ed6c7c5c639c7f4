package oracle

import (
	"fmt"
	"net/http"
)

// targetRows are about request targets, which cross as they are.
func targetRows() []Row {
	tells := func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%q %q %q %q %v", r.URL.Path, r.URL.RawPath, r.URL.EscapedPath(), r.URL.RawQuery, r.URL.Query())
	}
	var rows []Row
	for _, target := range []string{
		"/", "//", "//x", "///x//y/", "/a/../b", "/a/./b", "/%2e%2e/", "/a%2Fb", "/a%20b", "/a+b", "/%E4%B8%96", "/世界", "/caf\xe9",
		"/a|b", `/a"b`, "/a^b`{}", "/a<b>", `/a\b`, "/a;b=c;d", "/a:b@c", "/?", "/??", "/?a", "/?a=1&a=2&b", "/?q=a%20b+c",
		"/?q=%zz", "/?q=caf\xe9", "/a?b?c", "/?a;b", "/?a=\"|<>", "/a#b", "/~u/!$&'()*,", "/http://example.com/",
	} {
		rows = append(rows, Row{Name: fmt.Sprintf("target/%q", target), Handler: tells, Request: Request{Target: target}, Status: 200})
	}
	for _, target := range []string{"/%zz", "/%", "/a%2", "x"} {
		refusal := Row{Name: fmt.Sprintf("target/refused: %q", target), Handler: tells, Request: Request{Target: target}, Class: Refused, Status: 400, Versions: []Version{HTTP11}}
		inHTTP2 := refusal
		inHTTP2.Name += " in HTTP/2"
		inHTTP2.Status, inHTTP2.Versions = 0, []Version{HTTP2}
		rows = append(rows, refusal, inHTTP2)
	}
	rows = append(rows, Row{
		Name: "target/* of GET", Handler: tells, Request: Request{Target: "*"}, Status: 200,
		Gaps: []Gap{{Aspect: "class", Reason: "the target * is for OPTIONS only (protocol, 8.4); net/http takes it for any method"}},
	})
	return append(rows, Row{
		Name: "target/ServeMux pattern", Status: 200, Request: Request{Target: "/items/a%2Fb/x?y=1"},
		Handler: func() http.HandlerFunc {
			mux := http.NewServeMux()
			mux.HandleFunc("GET /items/{id}/{rest...}", func(w http.ResponseWriter, r *http.Request) {
				fmt.Fprintf(w, "%q %q %q", r.PathValue("id"), r.PathValue("rest"), r.Pattern)
			})
			return mux.ServeHTTP
		}(),
	})
}
