package oracle

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
)

// lengthRows are about Content-Length: where a server adds it by itself, and
// what becomes of one that is not true.
func lengthRows() []Row {
	var rows []Row
	for _, size := range []int{0, 1, 2047, 2048, 2049, 4095, 4096, 4097} {
		for _, each := range []int{10_000, 100, 1} {
			parts := chunks(size, each)
			rows = append(rows,
				Row{Name: fmt.Sprintf("length/%d in writes of %d", size, each), Handler: writer(parts), Status: 200},
				Row{Name: fmt.Sprintf("length/%d in writes of %d to HEAD", size, each), Handler: writer(parts), Request: Request{Method: "HEAD"}, Status: 200},
			)
		}
	}
	declares := func(length string, parts ...string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", length)
			for _, part := range parts {
				_, _ = io.WriteString(w, part)
			}
		}
	}
	return append(rows,
		Row{Name: "length/declared", Handler: declares("6", "hel", "lo\n"), Status: 200},
		Row{Name: "length/declared and large", Handler: declares("100000", chunks(100000, 7000)...), Status: 200},
		Row{Name: "length/declared zero", Handler: declares("0"), Status: 200},
		Row{Name: "length/too short", Handler: declares("10", "hello"), Status: 200, Class: Cut},
		Row{Name: "length/declared and nothing written", Handler: declares("10"), Status: 200, Class: Cut},
		Row{Name: "length/too short, flushed", Handler: flushed(declares("10")), Status: 200},
		Row{Name: "length/too long", Handler: declares("5", "hello", " world"), Status: 200, Versions: []Version{HTTP11}},
		Row{Name: "length/too long in HTTP/2", Handler: declares("5", "hello", " world"), Status: 200, Class: Cut, Versions: []Version{HTTP2}, Gaps: []Gap{
			{Aspect: "class", When: inProcess(HTTP2), Reason: beyond}, {Aspect: "body", Reason: beyond},
		}},
		Row{Name: "length/too long in one write", Handler: declares("5", "hello world"), Status: 200, Class: Cut, Gaps: []Gap{
			{Aspect: "body", When: in(HTTP2), Reason: beyond}, {Aspect: "field Content-Type", When: inProcess(HTTP2), Reason: beyond},
		}},
		Row{Name: "length/not a number", Handler: declares("many", "hello"), Status: 200},
		Row{Name: "length/negative", Handler: declares("-5", "hello"), Status: 200},
		Row{Name: "length/two", Handler: fields(http.Header{"Content-Length": {"6", "7"}}), Status: 200, Gaps: []Gap{
			{Aspect: "field Content-Length", When: inProcess(HTTP11), Reason: "Content-Length is sent once (protocol, 10.4)"},
			{Aspect: "class", When: asked(HTTP11), Reason: "net/http's client takes no more than one Content-Length"},
		}},
		Row{Name: "length/too long is an error", Status: 200, Versions: []Version{HTTP11}, Handler: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "2")
			_, first := io.WriteString(w, "ok")
			_, second := io.WriteString(w, "x")
			if first != nil || !errors.Is(second, http.ErrContentLength) {
				panic("no error")
			}
		}},
		Row{Name: "length/large with a length to HEAD", Status: 200, Request: Request{Method: "HEAD"}, Handler: declares("100000", chunks(100000, 7000)...)},
		Row{Name: "length/empty write", Status: 200, Handler: func(w http.ResponseWriter, _ *http.Request) {
			n, err := w.Write(nil)
			w.Header().Set("X-Late", strconv.Itoa(n))
			if err != nil {
				panic(err)
			}
		}},
	)
}

// beyond explains what net/http's HTTP/2 server does with small bodies.
const beyond = "what a handler writes beyond its Content-Length is not sent (protocol, 4), where net/http sends a malformed response"

// writer returns a handler that writes parts.
func writer(parts []string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for _, part := range parts {
			if n, err := io.WriteString(w, part); err != nil || n != len(part) {
				panic(fmt.Sprint(n, err))
			}
		}
	}
}
