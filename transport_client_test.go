package culvert_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/culvert-http/culvert"
)

// What http.Client does on top of a RoundTripper works on top of this one.
func TestTransportUnderAClient(t *testing.T) {
	app := http.NewServeMux()
	app.HandleFunc("/login", func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		http.SetCookie(w, &http.Cookie{Name: "session", Value: string(body), Path: "/"})
		http.Redirect(w, r, "/home?x=1", http.StatusSeeOther)
	})
	app.HandleFunc("/moved", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "/echo", http.StatusTemporaryRedirect)
	})
	app.HandleFunc("/echo", func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(w, r.Body)
	})
	app.HandleFunc("/home", func(w http.ResponseWriter, r *http.Request) {
		cookie, err := r.Cookie("session")
		fmt.Fprintf(w, "%s %v %v %s", r.URL, cookie, err, r.Referer())
	})
	app.HandleFunc("/slow", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	for _, protocol := range protocols {
		t.Run(protocol.String(), func(t *testing.T) {
			r := newRig(t, app, culvert.WithProtocol(protocol))
			jar, err := cookiejar.New(nil)
			if err != nil {
				t.Fatal(err)
			}
			client := &http.Client{Transport: r.transport, Jar: jar}
			resp, err := client.Post(rigURL+"/login", "text/plain", strings.NewReader("secret"))
			if err != nil {
				t.Fatal(err)
			}
			if got, want := readBody(t, resp), "/home?x=1 session=secret <nil> "+rigURL+"/login"; got != want {
				t.Errorf("got %s, want %s", got, want)
			}
			resp, err = client.Post(rigURL+"/moved", "text/plain", strings.NewReader(mebibytes(1)))
			if err != nil {
				t.Fatal(err)
			}
			if got := readBody(t, resp); got != mebibytes(1) {
				t.Errorf("%d bytes after a redirect", len(got))
			}
			client.Timeout = 50 * time.Millisecond
			resp, err = client.Get(rigURL + "/slow")
			if err == nil {
				_ = resp.Body.Close()
			}
			var urlErr *url.Error
			if !errors.As(err, &urlErr) || !urlErr.Timeout() || !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("error %v", err)
			}
			client.CloseIdleConnections()
		})
	}
}

func TestTransportUnderAReverseProxy(t *testing.T) {
	app := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/abort" {
			fmt.Fprint(w, "half")
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		}
		w.Header().Set("Trailer", "X-Sum")
		n, err := io.Copy(w, r.Body)
		w.Header().Set("X-Sum", fmt.Sprint(n, err))
	})
	for _, protocol := range protocols {
		t.Run(protocol.String(), func(t *testing.T) {
			r := newRig(t, app, culvert.WithProtocol(protocol))
			reverse := &httputil.ReverseProxy{
				Transport: r.transport,
				ErrorLog:  slog.NewLogLogger(slog.DiscardHandler, slog.LevelError),
				Rewrite: func(pr *httputil.ProxyRequest) {
					pr.Out.URL.Scheme, pr.Out.URL.Host = "http", "app.example"
				},
			}
			proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				// Without it net/http's server throws away what it has of the request when the
				// response begins.
				_ = http.NewResponseController(w).EnableFullDuplex()
				reverse.ServeHTTP(w, r)
			}))
			defer proxy.Close()
			client := proxy.Client()
			resp, err := client.Post(proxy.URL, "text/plain", opaque{strings.NewReader(mebibytes(2))})
			if err != nil {
				t.Fatal(err)
			}
			if got := readBody(t, resp); got != mebibytes(2) || resp.Trailer.Get("X-Sum") != "2097152 <nil>" {
				t.Errorf("%d bytes, trailers %v", len(got), resp.Trailer)
			}
			resp, err = client.Get(proxy.URL + "/abort")
			if err != nil {
				t.Fatal(err)
			}
			if got, err := io.ReadAll(resp.Body); err == nil {
				t.Errorf("a body that was cut short came as %q", got)
			}
			_ = resp.Body.Close()
		})
	}
}

func TestTransportIsSafeForConcurrentUse(t *testing.T) {
	app := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Has("abort") {
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		}
		if _, err := io.Copy(w, r.Body); err != nil {
			panic(http.ErrAbortHandler)
		}
	})
	for _, w := range ways() {
		t.Run(w.String(), func(t *testing.T) {
			r := w.newRig(t, app)
			var group sync.WaitGroup
			for i := range 10 {
				group.Go(func() {
					for j := range 10 {
						content := strings.Repeat(fmt.Sprint(i, j), 1+i*j*10)
						ctx, cancel := context.WithCancel(t.Context())
						if i%5 == 4 {
							time.AfterFunc(time.Duration(j)*100*time.Microsecond, cancel)
						}
						path := "/"
						if i%5 == 3 {
							path = "/?abort"
						}
						req := newRigRequest(t, http.MethodPost, path, opaque{strings.NewReader(content)})
						resp, err := r.transport.RoundTrip(req.WithContext(ctx))
						var got []byte
						if err == nil {
							got, err = io.ReadAll(resp.Body)
							_ = resp.Body.Close()
						}
						cancel()
						if i%5 < 3 && err != nil || i%5 == 3 && err == nil || err == nil && string(got) != content {
							t.Errorf("%d.%d: %d bytes of %d, %v", i, j, len(got), len(content), err)
						}
					}
				})
			}
			group.Wait()
		})
	}
}

func ExampleNewTransport() {
	app := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s %s%s", r.Method, r.Host, r.URL.Path)
	})
	mux := http.NewServeMux()
	mux.Handle(culvert.NewHandler(app))
	server := httptest.NewServer(culvert.H2C(mux))
	defer server.Close()

	transport, err := culvert.NewTransport(server.URL)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer transport.Close()
	client := &http.Client{Transport: transport}

	response, err := client.Get("http://app.example/hello")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	fmt.Println(response.Status, string(body), err)
	// Output: 200 OK GET app.example/hello <nil>
}
