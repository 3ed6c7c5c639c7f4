package culvert_test

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/culvert-http/culvert"
)

func TestTransportSendsTheRequestAsItIs(t *testing.T) {
	app := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		fields := make([]string, 0, len(r.Header))
		for name, values := range r.Header {
			fields = append(fields, fmt.Sprintf("%s=%q", name, values))
		}
		slices.Sort(fields)
		fmt.Fprintf(w, "%s %s %s %s %d %q\n%s", r.Method, r.Host, r.RequestURI, r.Proto, r.ContentLength, body,
			strings.Join(fields, "\n"))
	})
	for _, w := range ways() {
		t.Run(w.String(), func(t *testing.T) {
			r := w.newRig(t, app)
			req := newRigRequest(t, "PATCH", "/a%2Fb/?x=1&x=\xff|", strings.NewReader("hello"))
			req.Header["X-Twice"] = []string{"1", "", "2"}
			req.Header["X-Raw"] = []string{"caf\xe9"}
			req.Header.Set("Connection", "X-Hop")
			req.Header.Set("X-Hop", "1")
			req.Header.Set("Transfer-Encoding", "chunked")
			before := req.Clone(req.Context())
			got := readBody(t, r.do(t, req))
			want := "PATCH app.example /a%2Fb/?x=1&x=\xff| HTTP/1.1 5 \"hello\"\n" +
				`Content-Length=["5"]` + "\n" + `X-Raw=["caf\xe9"]` + "\n" + `X-Twice=["1" "" "2"]`
			if got != want {
				t.Errorf("the application saw\n%s\nnot\n%s", got, want)
			}
			if diff := cmp.Diff(before.Header, req.Header); diff != "" {
				t.Error("request changed", diff)
			}
		})
	}
}

func TestTransportStreamsBodiesOfAnyLength(t *testing.T) {
	app := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n, err := io.Copy(w, r.Body)
		if err != nil {
			t.Error(n, err)
		}
	})
	for _, w := range ways() {
		t.Run(w.String(), func(t *testing.T) {
			r := w.newRig(t, app)
			for _, size := range []int{0, 1, 4096, 256 << 10, 256<<10 + 1, 1 << 20, 2 << 20} {
				content := mebibytes(2)[:size]
				for name, body := range map[string]io.Reader{"memory": strings.NewReader(content), "stream": opaque{strings.NewReader(content)}} {
					got := readBody(t, r.do(t, newRigRequest(t, http.MethodPost, "/", body)))
					if got != content {
						t.Errorf("%s of %d bytes came back as %d", name, size, len(got))
					}
				}
			}
			if w.streamsRequest() && w.streamsResponse() {
				content := mebibytes(9)
				if got := readBody(t, r.do(t, newRigRequest(t, http.MethodPost, "/", opaque{strings.NewReader(content)}))); got != content {
					t.Errorf("9 MiB came back as %d bytes", len(got))
				}
			}
		})
	}
}

func TestTransportGivesResponsesAsNetHTTPDoes(t *testing.T) {
	app := http.NewServeMux()
	app.HandleFunc("/length", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "hello") })
	app.HandleFunc("/stream", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, "hello ")
		w.(http.Flusher).Flush()
		fmt.Fprint(w, "world")
	})
	app.HandleFunc("/empty", func(http.ResponseWriter, *http.Request) {})
	app.HandleFunc("/status/{code}", func(w http.ResponseWriter, r *http.Request) {
		code, _ := strconv.Atoi(r.PathValue("code"))
		w.Header().Add("X-Twice", "1")
		w.Header().Add("X-Twice", "2")
		w.WriteHeader(code)
	})
	direct := serveRig(t, app, false)
	for _, w := range ways() {
		t.Run(w.String(), func(t *testing.T) {
			r := w.newRig(t, app)
			for _, path := range []string{"/length", "/stream", "/empty", "/status/204", "/status/304", "/status/404", "/status/599"} {
				for _, method := range []string{"GET", "HEAD", "POST"} {
					want := outcomeOf(t, http.DefaultTransport, method, direct.URL+path)
					got := outcomeOf(t, r.transport, method, rigURL+path)
					if !w.streamsResponse() && path == "/stream" {
						// The length of what is buffered is known, but not said.
						want.TransferEncoding, got.TransferEncoding = nil, nil
					}
					if method == http.MethodHead {
						want.NoBody, got.NoBody = false, false // the end may still be on its way
					}
					if diff := cmp.Diff(want, got); diff != "" {
						t.Errorf("%s %s: -direct +tunnel\n%s", method, path, diff)
					}
				}
			}
		})
	}
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
}

// responseOutcome is all of a response that callers can tell apart.
type responseOutcome struct {
	Status           string
	StatusCode       int
	Proto            string
	Header           http.Header
	ContentLength    int64
	TransferEncoding []string
	Uncompressed     bool
	Body             string
	NoBody           bool
	Trailer          http.Header
	Declared         http.Header
}

func outcomeOf(tb testing.TB, rt http.RoundTripper, method, url string) responseOutcome {
	tb.Helper()
	req := newRigRequest(tb, method, "/", nil)
	req.Header.Set("Accept-Encoding", "identity")
	var err error
	if req.URL, err = req.URL.Parse(url); err != nil {
		tb.Fatal(err)
	}
	resp, err := rt.RoundTrip(req)
	if err != nil {
		tb.Fatal(err)
	}
	resp.Header.Del("Date")
	outcome := responseOutcome{
		Status:           resp.Status,
		StatusCode:       resp.StatusCode,
		Proto:            resp.Proto,
		Header:           resp.Header,
		ContentLength:    resp.ContentLength,
		TransferEncoding: resp.TransferEncoding,
		Uncompressed:     resp.Uncompressed,
		NoBody:           resp.Body == http.NoBody,
		Declared:         resp.Trailer.Clone(),
	}
	if resp.Request != req {
		tb.Error("Response.Request is another one")
	}
	outcome.Body = readBody(tb, resp)
	outcome.Trailer = resp.Trailer
	return outcome
}

func TestTransportCarriesTrailersBothWays(t *testing.T) {
	app := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		announced := fmt.Sprint(r.Trailer)
		w.Header().Set("Trailer", "X-Sum, X-Other")
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		fmt.Fprintf(w, "%s %s %s", announced, body, r.Trailer.Get("X-Request"))
		w.Header().Set("X-Sum", "7")
		w.Header().Set(http.TrailerPrefix+"X-Late", "8")
	})
	for _, w := range ways() {
		t.Run(w.String(), func(t *testing.T) {
			r := w.newRig(t, app)
			for name, body := range map[string]io.Reader{"memory": strings.NewReader("hi"), "stream": opaque{strings.NewReader("hi")}} {
				req := newRigRequest(t, http.MethodPost, "/", body)
				req.ContentLength = -1
				req.Trailer = http.Header{"X-Request": {"5"}}
				resp := r.do(t, req)
				if diff := cmp.Diff(http.Header{"X-Sum": nil, "X-Other": nil}, resp.Trailer); diff != "" {
					t.Errorf("%s: announced: %s", name, diff)
				}
				if got, want := readBody(t, resp), "map[X-Request:[]] hi 5"; got != want {
					t.Errorf("%s: got %q, want %q", name, got, want)
				}
				if diff := cmp.Diff(http.Header{"X-Sum": {"7"}, "X-Late": {"8"}, "X-Other": nil}, resp.Trailer); diff != "" {
					t.Errorf("%s: trailers: %s", name, diff)
				}
			}
		})
	}
}

func TestTransportRefusesWhatNetHTTPRefuses(t *testing.T) {
	transport := newRigTransport(t, "http://127.0.0.1:1")
	for name, spoil := range map[string]func(*http.Request){
		"nil URL":          func(r *http.Request) { r.URL = nil },
		"nil header":       func(r *http.Request) { r.Header = nil },
		"scheme":           func(r *http.Request) { r.URL.Scheme = "ftp" },
		"no host":          func(r *http.Request) { r.URL.Host = "" },
		"method":           func(r *http.Request) { r.Method = "GE T" },
		"CONNECT":          func(r *http.Request) { r.Method = "CONNECT" },
		"field name":       func(r *http.Request) { r.Header["a b"] = []string{"1"} },
		"field value":      func(r *http.Request) { r.Header["A"] = []string{"1\n2"} },
		"trailer":          func(r *http.Request) { r.Trailer = http.Header{"Content-Length": nil} },
		"host":             func(r *http.Request) { r.Host = "a b" },
		"target":           func(r *http.Request) { r.URL.Opaque = "x" },
		"control in query": func(r *http.Request) { r.URL.RawQuery = "\x01" },
		"length":           func(r *http.Request) { r.ContentLength = 3 },
	} {
		t.Run(name, func(t *testing.T) {
			body := &closeRecorder{Reader: strings.NewReader("four")}
			req := newRigRequest(t, http.MethodPost, "/", strings.NewReader("four"))
			req.Body = body
			spoil(req)
			if name == "length" {
				req.Body = io.NopCloser(strings.NewReader("four"))
				body.closed.Store(true)
			}
			resp, err := transport.RoundTrip(req)
			if err == nil {
				_ = resp.Body.Close()
				t.Fatal("no error")
			}
			if !body.closed.Load() {
				t.Error("body is not closed")
			}
		})
	}
}

func TestTransportOptionsAreChecked(t *testing.T) {
	for name, opt := range map[string]culvert.TransportOption{
		"protocol": culvert.WithProtocol(9),
		"method":   culvert.WithMethod(-1),
		"dial":     culvert.WithDialContext(nil),
		"timeout":  culvert.WithDialTimeout(0),
		"windows":  culvert.WithWindows(1, 1),
		"window":   culvert.WithWindows(2<<20, 1<<20),
		"ping":     culvert.WithPing(1, 0),
		"head":     culvert.WithMaxResponseHead(0, 1),
		"fields":   culvert.WithMaxResponseHead(1, 0),
		"buffer":   culvert.WithMaxBufferedBytes(0),
		"tries":    culvert.WithTries(0),
		"continue": culvert.WithExpectContinueTimeout(-1),
	} {
		if _, err := culvert.NewTransport("http://localhost", opt); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	for _, url := range []string{"", "localhost:80", "ftp://localhost", "http://", "http://a?b", "http://a@b", "http://a\x7f"} {
		if _, err := culvert.NewTransport(url); err == nil {
			t.Errorf("%q: no error", url)
		}
	}
}
