package oracle

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"
	"testing/fstest"
	"time"
)

// libraryRows are about what net/http's users build their servers of.
func libraryRows() []Row {
	rows := append(contentRows(), muxRows()...)
	return append(append(rows, formRows()...), middlewareRows()...)
}

// contentRows are about http.ServeContent and http.FileServer.
func contentRows() []Row {
	modified := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	content := strings.Join(chunks(20_000, 20_000), "")
	serve := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Etag", `"one"`)
		http.ServeContent(w, r, "file.txt", modified, strings.NewReader(content))
	}
	asks := func(name string, status int, method string, header http.Header) Row {
		return Row{Name: "ServeContent/" + name, Handler: serve, Status: status, Request: Request{Method: method, Header: header}}
	}
	files := http.FileServerFS(fstest.MapFS{
		"index.html":   {Data: []byte("<h1>index</h1>"), ModTime: modified},
		"a.css":        {Data: []byte("a{}"), ModTime: modified},
		"dir/file.bin": {Data: []byte("\x00\x01"), ModTime: modified},
	}).ServeHTTP
	file := func(target string, status int) Row {
		return Row{Name: "FileServer" + target, Handler: files, Status: status, Request: Request{Target: target}}
	}
	return []Row{
		asks("whole", 200, "", nil),
		asks("HEAD", 200, "HEAD", nil),
		asks("Range", 206, "", http.Header{"Range": {"bytes=10-19"}}),
		asks("Range to HEAD", 206, "HEAD", http.Header{"Range": {"bytes=10-19"}}),
		asks("Range of the end", 206, "", http.Header{"Range": {"bytes=-5"}}),
		asks("Range that cannot be", 416, "", http.Header{"Range": {"bytes=30000-"}}),
		asks("If-Range", 200, "", http.Header{"Range": {"bytes=1-2"}, "If-Range": {`"two"`}}),
		asks("If-None-Match", 304, "", http.Header{"If-None-Match": {`"one"`}}),
		asks("If-None-Match to HEAD", 304, "HEAD", http.Header{"If-None-Match": {`"one"`}}),
		asks("If-Match", 412, "", http.Header{"If-Match": {`"two"`}}),
		asks("If-Modified-Since", 304, "", http.Header{"If-Modified-Since": {modified.Format(http.TimeFormat)}}),
		file("/", 200), file("/index.html", 301), file("/a.css", 200), file("/dir", 301), file("/dir/", 200),
		file("/dir/file.bin", 200), file("/none", 404), file("/../a.css", 200),
	}
}

// muxRows are about http.ServeMux and the answers that net/http makes itself.
func muxRows() []Row {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /get", hello)
	mux.HandleFunc("POST /post", echo)
	mux.HandleFunc("/dir/", hello)
	mux.HandleFunc("host.test/", hello)
	asks := func(name string, status int, request Request) Row {
		return Row{Name: "ServeMux/" + name, Handler: mux.ServeHTTP, Status: status, Request: request}
	}
	helper := func(name string, status int, handler http.HandlerFunc) Row {
		return Row{Name: "net/http/" + name, Handler: handler, Status: status, Request: Request{Target: "/a/b?c=d"}}
	}
	return []Row{
		asks("found", 200, Request{Target: "/get"}),
		asks("HEAD by GET", 200, Request{Method: "HEAD", Target: "/get"}),
		asks("method not allowed", 405, Request{Method: "DELETE", Target: "/get"}),
		asks("not found", 404, Request{Target: "/none"}),
		asks("slash added", 307, Request{Target: "/dir?x=1"}),
		asks("path cleaned", 307, Request{Target: "/dir//a/../b"}),
		asks("path not cleaned", 404, Request{Target: "/%2e%2e/get"}),
		asks("by host", 200, Request{Target: "/any", Host: "host.test:80"}),
		helper("Redirect", 302, http.RedirectHandler("../c?e=f", http.StatusFound).ServeHTTP),
		helper("Redirect of POST", 308, http.RedirectHandler("https://example.com/", http.StatusPermanentRedirect).ServeHTTP),
		helper("Error", 500, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000")
			w.Header().Set("Content-Encoding", "gzip")
			http.Error(w, "sorry", http.StatusInternalServerError)
		}),
		helper("NotFound", 404, http.NotFound),
		helper("SetCookie", 200, func(w http.ResponseWriter, r *http.Request) {
			http.SetCookie(w, &http.Cookie{Name: "a", Value: "1", HttpOnly: true})
			http.SetCookie(w, &http.Cookie{Name: "b", Value: "2", SameSite: http.SameSiteLaxMode})
			hello(w, r)
		}),
	}
}

// formRows are about the parsing of forms.
func formRows() []Row {
	shows := func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%q %q %v %v", r.FormValue("a"), r.PostFormValue("b"), r.Form, r.PostForm)
	}
	const boundary = "xxBOUNDARYxx"
	part := func(disposition, content string) string {
		return "--" + boundary + "\r\nContent-Disposition: form-data; " + disposition + "\r\n\r\n" + content + "\r\n"
	}
	multi := http.Header{"Content-Type": {"multipart/form-data; boundary=" + boundary}}
	body := []string{part(`name="a"`, "1"), part(`name="f"; filename="f.bin"`, strings.Repeat("\x00\xff", 5000)), "--" + boundary + "--\r\n"}
	lastBytes := []Gap{{
		Sometimes: true,
		Aspect:    "seen body error", When: in(HTTP11),
		Reason: "the end of a body comes after the last bytes, as in HTTP/2, where HTTP/1.1 gives it with them",
	}}
	return []Row{
		{Name: "form/query", Handler: shows, Status: 200, Request: Request{Target: "/?a=1&a=2&b=%20"}},
		{Name: "form/urlencoded", Handler: shows, Status: 200, Request: Request{
			Method: "POST", Target: "/?a=q", Body: []string{"a=1&b=", "2+3"}, Header: http.Header{"Content-Type": {"application/x-www-form-urlencoded"}},
		}},
		{Name: "form/multipart", Status: 200, Gaps: lastBytes, Request: Request{Method: "POST", Header: multi, Body: body, Unsized: true}, Handler: func(w http.ResponseWriter, r *http.Request) {
			if err := r.ParseMultipartForm(1000); err != nil {
				panic(err)
			}
			file, header, err := r.FormFile("f")
			if err != nil {
				panic(err)
			}
			content, err := io.ReadAll(file)
			fmt.Fprintln(w, r.FormValue("a"), header.Filename, header.Size, len(content), err)
		}},
		{Name: "form/multipart cut", Status: 200, Request: Request{Method: "POST", Header: multi, Body: body[:2]}, Handler: func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprintln(w, r.ParseMultipartForm(1<<20))
		}},
		{Name: "form/MultipartReader", Status: 200, Gaps: lastBytes, Request: Request{Method: "POST", Header: multi, Body: body}, Handler: func(w http.ResponseWriter, r *http.Request) {
			reader, err := r.MultipartReader()
			if err != nil {
				panic(err)
			}
			for {
				part, err := reader.NextPart()
				if err != nil {
					fmt.Fprintln(w, err)
					return
				}
				n, err := io.Copy(io.Discard, part)
				fmt.Fprintln(w, part.FormName(), n, err)
			}
		}},
	}
}

// middlewareRows are about handlers that wrap others.
func middlewareRows() []Row {
	wraps := func(name string, status int, handler http.Handler) Row {
		return Row{Name: "wrapped/" + name, Status: status, Handler: handler.ServeHTTP, Request: Request{
			Method: "POST", Target: "/api/x?y=z", Body: []string{"some ", "body"},
		}}
	}
	slow := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		<-r.Context().Done()
		hello(w, r)
	})
	echoing := http.HandlerFunc(echo)
	return []Row{
		wraps("StripPrefix", 200, http.StripPrefix("/api", echoing)),
		wraps("TimeoutHandler in time", 200, http.TimeoutHandler(echoing, time.Minute, "late")),
		wraps("TimeoutHandler too late", 503, http.TimeoutHandler(slow, time.Millisecond, "<h1>late</h1>")),
		wraps("AllowQuerySemicolons", 200, http.AllowQuerySemicolons(echoing)),
		wraps("a ResponseWriter with Unwrap", 200, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			wrapped := unwrapper{w}
			echo(wrapped, r)
			if err := http.NewResponseController(wrapped).Flush(); err != nil {
				panic(err)
			}
		})),
		proxied("small", 200, Request{Method: "POST", Target: "/a%2Fb?c", Body: []string{"some ", "body"}}, echo),
		proxied("unsized", 200, Request{Method: "POST", Body: []string{"some ", "body"}, Unsized: true}, echo),
		proxied("HEAD", 200, Request{Method: "HEAD"}, hello),
		proxied("103 and trailers", 201, Request{}, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Link", "</a.css>")
			w.WriteHeader(http.StatusEarlyHints)
			w.Header().Set("Trailer", "X-Sum")
			w.WriteHeader(http.StatusCreated)
			hello(w, r)
			w.Header().Set("X-Sum", "6")
			w.Header().Set(http.TrailerPrefix+"X-More", "7")
		}),
		proxied("304", 304, Request{}, answer(304, "")),
		cut(proxied("upstream cut early", 0, Request{}, half(100)), Failed),
		cut(proxied("upstream cut late", 200, Request{Header: http.Header{"Accept": {"text/event-stream"}}}, half(100_000)), Cut),
		{Name: "wrapped/ReverseProxy without its upstream", Status: 502, Setup: func(tb testing.TB) http.Handler {
			tb.Helper()
			return reverseProxy(tb, "127.0.0.1:1")
		}},
	}
}

// cut returns row with another end than that of most.
func cut(row Row, class Class) Row {
	row.Class = class
	return row
}

// half returns a handler that writes half of what it has declared.
func half(size int) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if accept := r.Header.Get("Accept"); accept != "" {
			w.Header().Set("Content-Type", accept) // a proxy flushes events at once
		}
		w.Header().Set("Content-Length", fmt.Sprint(size))
		_, _ = io.WriteString(w, chunks(size/2, size)[0])
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	}
}

type unwrapper struct{ http.ResponseWriter }

func (u unwrapper) Unwrap() http.ResponseWriter { return u.ResponseWriter }

// proxied returns a row whose handler is behind a reverse proxy.
func proxied(name string, status int, request Request, upstream http.HandlerFunc) Row {
	return Row{Name: "wrapped/ReverseProxy, " + name, Status: status, Request: request, Setup: func(tb testing.TB) http.Handler {
		tb.Helper()
		return reverseProxy(tb, Serve(tb, upstream))
	}}
}

func reverseProxy(tb testing.TB, addr string) http.Handler {
	tb.Helper()
	transport := httpTransport(tb, HTTP11)
	return &httputil.ReverseProxy{
		Transport: transport,
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(&url.URL{Scheme: "http", Host: addr})
		},
		ErrorLog:     discard,
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) },
	}
}
