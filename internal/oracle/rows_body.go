package oracle

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// large is the size of a body that takes several frames and more than the first
// window of an exchange, in as many bytes as the race detector has time for.
const large = 600_000

// lostToReset is a race of net/http's client with the server that closes the
// connection.
var lostToReset = []Gap{{
	Aspect: "class", When: func(via Via) bool { return via.Route.Direct && via.Version == HTTP11 },
	Reason: "net/http's client for HTTP/1.1 can lose a response while it still writes to a connection that is closed",
}}

// requestBodyRows are about how handlers read, and do not read, a request.
func requestBodyRows() []Row {
	small := []string{"one ", "two ", "three"}
	return []Row{
		{Name: "request body/sized", Handler: echo, Request: Request{Method: "POST", Body: small}, Status: 200},
		{Name: "request body/unsized", Handler: echo, Request: Request{Method: "POST", Body: small, Unsized: true}, Status: 200},
		{Name: "request body/sized and empty", Handler: echo, Request: Request{Method: "POST", Body: []string{}}, Status: 200},
		{Name: "request body/unsized and empty", Handler: echo, Request: Request{Method: "POST", Body: []string{}, Unsized: true}, Status: 200},
		{Name: "request body/600 kB", Handler: echo, Request: Request{Method: "POST", Body: chunks(large, 100_000)}, Status: 200},
		{Name: "request body/600 kB in one", Handler: sum, Request: Request{Method: "POST", Body: chunks(large, large)}, Status: 200},
		{Name: "request body/600 kB unsized", Handler: sum, Request: Request{Method: "POST", Body: chunks(large, 300_000), Unsized: true}, Status: 200},
		{Name: "request body/500 bytes one by one", Handler: sum, Request: Request{Method: "POST", Body: chunks(500, 1), Unsized: true}, Status: 200},
		{Name: "request body/not read", Handler: hello, Request: Request{Method: "POST", Body: small}, Status: 200},
		{Name: "request body/64 KiB not read", Handler: hello, Request: Request{Method: "POST", Body: chunks(64<<10, 10_000)}, Status: 200, Gaps: lostToReset},
		{Name: "request body/read in part", Status: 200, Request: Request{Method: "POST", Body: chunks(32<<10, 10_000)}, Handler: func(w http.ResponseWriter, r *http.Request) {
			part := make([]byte, 10)
			n, err := io.ReadFull(r.Body, part)
			fmt.Fprintf(w, "%q %d %v", part, n, err)
		}},
		{Name: "request body/closed", Status: 200, Gaps: closedGaps, Request: Request{Method: "POST", Body: small}, Handler: func(w http.ResponseWriter, r *http.Request) {
			first := r.Body.Close()
			second := r.Body.Close()
			_, err := r.Body.Read(make([]byte, 1))
			fmt.Fprintln(w, first, second, errors.Is(err, http.ErrBodyReadAfterClose))
		}},
		{Name: "request body/closed in the middle", Status: 200, Gaps: closedGaps, Request: Request{Method: "POST", Body: small}, Handler: func(w http.ResponseWriter, r *http.Request) {
			_, first := io.ReadFull(r.Body, make([]byte, 4))
			second := r.Body.Close()
			_, err := r.Body.Read(make([]byte, 1))
			fmt.Fprintln(w, first, second, err)
		}},
		{Name: "request body/read past the end", Status: 200, Request: Request{Method: "POST", Body: small}, Handler: func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.ReadAll(r.Body)
			n, err := r.Body.Read(make([]byte, 1))
			m, again := r.Body.Read(nil)
			fmt.Fprintln(w, n, err, m, again)
		}},
		{Name: "request body/read where there is none", Status: 200, Handler: func(w http.ResponseWriter, r *http.Request) {
			n, err := r.Body.Read(make([]byte, 1))
			fmt.Fprintln(w, n, err, r.Body.Close())
		}},
		{Name: "request body/over MaxBytesReader", Status: 413, Request: Request{Method: "POST", Body: small}, Handler: func(w http.ResponseWriter, r *http.Request) {
			r.Body = http.MaxBytesReader(w, r.Body, 5)
			body, err := io.ReadAll(r.Body)
			tooLarge, ok := errors.AsType[*http.MaxBytesError](err)
			if !ok {
				panic(err)
			}
			http.Error(w, fmt.Sprintf("%q %d", body, tooLarge.Limit), http.StatusRequestEntityTooLarge)
		}},
		{Name: "request body/under MaxBytesReader", Status: 200, Request: Request{Method: "POST", Body: small}, Handler: func(w http.ResponseWriter, r *http.Request) {
			r.Body = http.MaxBytesReader(w, r.Body, 100)
			echo(w, r)
		}},
		{Name: "request body/MaxBytesHandler", Status: 400, Request: Request{Method: "POST", Body: small, Unsized: true}, Handler: http.MaxBytesHandler(http.HandlerFunc(echo), 5).ServeHTTP},
		{Name: "request body/full duplex", Status: 200, Request: Request{Method: "POST", Body: []string{"a", "b", "cc", "d"}, Unsized: true, Lockstep: true}, Handler: duplex},
		{Name: "request body/full duplex, sized", Status: 200, Request: Request{Method: "POST", Body: []string{"a", "b", "cc", "d"}, Lockstep: true}, Handler: duplex},
		{
			Name: "request body/cut by a reset", Status: 200, Class: Cut, Versions: []Version{HTTP2},
			Request: Request{Method: "POST", Body: small, Unsized: true, Lockstep: true, Cut: true}, Handler: duplex,
			Gaps: []Gap{{Aspect: "seen body error", When: bare, Reason: "a reset is an error to net/http's handler, a half-close without end an unexpected end"}},
		},
		{
			Name: "request body/cut by a half-close", Status: 400, Versions: []Version{HTTP11},
			Request: Request{Method: "POST", Body: small, Unsized: true, Cut: true}, Handler: drained,
			Gaps: cutGaps,
		},
		{
			Name: "request body/shorter than its length", Status: 400, Versions: []Version{HTTP11},
			Request: Request{Method: "POST", Body: small, Declares: 100, Cut: true},
			Handler: drained,
			Gaps:    cutGaps,
		},
	}
}

// closedGaps are those of handlers that read on after they have closed the body.
var closedGaps = []Gap{
	{Aspect: "seen body error", When: inProcess(HTTP2), Reason: closedBody},
	{Aspect: "body", When: inProcess(HTTP2), Reason: closedBody},
	{Aspect: "field Content-Length", When: inProcess(HTTP2), Reason: closedBody},
}

const closedBody = "a read after Close is http.ErrBodyReadAfterClose in every version; net/http's HTTP/2 has an error of its own"

// cutGaps are those of requests that stop without an end.
var cutGaps = []Gap{{
	Aspect: "class",
	Reason: "a request that is cut short ends the RPC with an error, whatever the handler answers (protocol, 4)",
}}

// drained reads a request that does not end well.
func drained(w http.ResponseWriter, r *http.Request) {
	if _, err := io.Copy(io.Discard, r.Body); err != nil {
		w.WriteHeader(http.StatusBadRequest)
	}
}

// sum answers with the length of the body.
func sum(w http.ResponseWriter, r *http.Request) {
	n, err := io.Copy(io.Discard, r.Body)
	fmt.Fprintln(w, n, err)
}

// duplex answers what it reads as soon as it has read it.
func duplex(w http.ResponseWriter, r *http.Request) {
	control := http.NewResponseController(w)
	if err := control.EnableFullDuplex(); err != nil {
		panic(err)
	}
	if err := control.Flush(); err != nil {
		panic(err)
	}
	buffer := make([]byte, 100)
	for {
		n, err := r.Body.Read(buffer)
		_, _ = w.Write(buffer[:n])
		_ = control.Flush()
		if err != nil {
			return
		}
	}
}

// responseBodyRows are about how handlers write.
func responseBodyRows() []Row {
	whole := chunks(large, large)
	return []Row{
		{Name: "response body/600 kB in one", Handler: writer(whole), Status: 200},
		{Name: "response body/600 kB in many", Handler: writer(chunks(large, 5000)), Status: 200},
		{Name: "response body/600 kB to HEAD", Handler: writer(whole), Request: Request{Method: "HEAD"}, Status: 200},
		{Name: "response body/3,000 bytes one by one", Handler: writer(chunks(3000, 1)), Status: 200},
		{Name: "response body/300 chunks, each flushed", Status: 200, Handler: func(w http.ResponseWriter, _ *http.Request) {
			for _, part := range chunks(3000, 10) {
				_, _ = io.WriteString(w, part)
				w.(http.Flusher).Flush()
			}
		}},
		{Name: "response body/flushed first", Handler: flushed(hello), Status: 200},
		{Name: "response body/flushed last", Status: 200, Handler: func(w http.ResponseWriter, r *http.Request) {
			hello(w, r)
			w.(http.Flusher).Flush()
		}},
		{Name: "response body/only flushed", Status: 200, Handler: flushed(func(http.ResponseWriter, *http.Request) {})},
		{Name: "response body/flushed with a length", Status: 200, Handler: func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "6")
			flushed(hello)(w, r)
		}},
		{Name: "response body/flushed without a body", Status: 204, Handler: func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusNoContent)
			w.(http.Flusher).Flush()
		}},
		{Name: "response body/io.Copy", Status: 200, Handler: func(w http.ResponseWriter, _ *http.Request) {
			n, err := io.Copy(w, strings.NewReader(whole[0]))
			if n != large || err != nil {
				panic(fmt.Sprint(n, err))
			}
		}},
		{Name: "response body/io.Copy after a write", Status: 200, Handler: func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "first ")
			_, _ = io.Copy(w, io.LimitReader(strings.NewReader(whole[0]), 5000))
		}},
		{Name: "response body/content that was gzipped", Status: 200, Handler: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			w.Header().Set("Vary", "Accept-Encoding")
			_, _ = io.WriteString(w, gzipped)
		}},
		{Name: "response body/events", Status: 200, Handler: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			w.Header().Set("Cache-Control", "no-store")
			for i := range 5 {
				fmt.Fprintf(w, "id: %d\ndata: event\n\n", i)
				w.(http.Flusher).Flush()
			}
		}},
		{Name: "response body/before the request was read", Status: 200, Request: Request{Method: "POST", Body: []string{"x"}}, Handler: func(w http.ResponseWriter, r *http.Request) {
			_ = http.NewResponseController(w).EnableFullDuplex()
			flushed(hello)(w, r)
			_, _ = io.Copy(w, r.Body)
		}},
		{
			Name: "response body/before the request was read, half duplex", Status: 200, Versions: []Version{HTTP11},
			Request: Request{Method: "POST", Body: []string{"x"}}, Handler: func(w http.ResponseWriter, r *http.Request) {
				flushed(hello)(w, r)
				_, _ = io.Copy(w, r.Body)
			},
			Gaps: []Gap{
				{Aspect: "body", When: inProcess(HTTP11), Reason: alwaysDuplex},
				{Aspect: "seen body", When: inProcess(HTTP11), Reason: alwaysDuplex},
				{Aspect: "seen body error", When: inProcess(HTTP11), Reason: alwaysDuplex},
			},
		},
		{Name: "response body/NUL and not UTF-8", Handler: writer([]string{"a\x00b", "\xff\xfe"}), Status: 200},
	}
}

const alwaysDuplex = "every exchange is full duplex; net/http's HTTP/1.1 drops the request's body when the response begins"

// gzipped is "hello\n" as gzip has it.
const gzipped = "\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\xcb\x48\xcd\xc9\xc9\xe7\x02\x00\x20\x30\x3a\x36\x06\x00\x00\x00"
