package oracle

import (
	"io"
	"net/http"
)

// failureRows are about handlers that do not end well.
func failureRows() []Row {
	fails := func(name string, status int, class Class, handler http.HandlerFunc) Row {
		return Row{Name: "failure/" + name, Handler: handler, Status: status, Class: class}
	}
	panics := func(http.ResponseWriter, *http.Request) { panic("on purpose") }
	aborts := func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }
	after := func(first, last http.HandlerFunc) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			first(w, r)
			last(w, r)
		}
	}
	flush := flushed(func(http.ResponseWriter, *http.Request) {})
	return []Row{
		fails("panic", 0, Failed, panics),
		fails("panic after WriteHeader", 0, Failed, after(answer(200, ""), panics)),
		fails("panic after a small write", 0, Failed, after(hello, panics)),
		fails("panic after 103", 0, Failed, after(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusEarlyHints) }, panics)),
		fails("panic after a flush", 200, Cut, after(after(hello, flush), panics)),
		fails("panic after a flush and a write", 200, Cut, after(after(after(hello, flush), hello), panics)),
		fails("panic after an error status", 500, Cut, after(after(answer(500, "sorry"), flush), panics)),
		fails("abort", 0, Failed, aborts),
		fails("abort after a small write", 0, Failed, after(hello, aborts)),
		fails("abort after a flush", 200, Cut, after(after(hello, flush), aborts)),
		fails("abort after an empty head", 200, Cut, after(flush, aborts)),
		{
			Name: "failure/abort after all of a declared body", Handler: abortsLate, Status: 200, Versions: []Version{HTTP11},
			Gaps: []Gap{{Aspect: "class", When: bare, Reason: "an abort is a cut even after the last byte; HTTP/1.1 cannot say so"}},
		},
		{Name: "failure/abort after all of a declared body in HTTP/2", Handler: abortsLate, Status: 200, Class: Cut, Versions: []Version{HTTP2}},
		{
			Name: "failure/panic with a request body", Handler: panics, Class: Failed,
			Request: Request{Method: "POST", Body: chunks(64<<10, 10_000)},
		},
		{
			Name: "failure/abort in the middle of the body", Class: Cut, Status: 200,
			Request: Request{Method: "POST", Body: []string{"a", "b", "c"}},
			Handler: func(w http.ResponseWriter, r *http.Request) {
				_ = http.NewResponseController(w).EnableFullDuplex()
				flushed(echo)(w, r)
				flush(w, r)
				panic(http.ErrAbortHandler)
			},
		},
	}
}

// abortsLate writes all that it has declared, and then aborts.
func abortsLate(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Length", "2")
	_, _ = io.WriteString(w, "ok")
	w.(http.Flusher).Flush()
	panic(http.ErrAbortHandler)
}
