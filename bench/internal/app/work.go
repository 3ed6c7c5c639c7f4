package app

import (
	"fmt"
	"net/http"
	"strconv"
)

// A Kind is what is done in an exchange.
type Kind int

// The kinds of work.
const (
	// KindHTTP is a request and its response.
	KindHTTP Kind = iota
	// KindWebSocket is one message and its echo, on a connection that stays open.
	KindWebSocket
)

// Answer is the response's body where nothing else is asked for.
const Answer = "hello world"

// Work is an exchange that is measured.
type Work struct {
	Name string
	Kind Kind
	// Up is the length of the request's body, in bytes; Down is that of the
	// response's, if it is not the Answer.
	Up, Down int64
}

// Small is a GET with three fields and the Answer.
func Small() Work { return Work{Name: "small"} }

// Download is a GET whose response has a body of n bytes.
func Download(n int64) Work { return Work{Name: "download-" + size(n), Down: n} }

// Upload is a POST of n bytes, with the Answer.
func Upload(n int64) Work { return Work{Name: "upload-" + size(n), Up: n} }

// WebSocket is the round trip of one small message.
func WebSocket() Work { return Work{Name: "websocket", Kind: KindWebSocket} }

func size(n int64) string {
	switch {
	case n >= 1<<20 && n%(1<<20) == 0:
		return fmt.Sprintf("%dMiB", n>>20)
	case n >= 1<<10 && n%(1<<10) == 0:
		return fmt.Sprintf("%dKiB", n>>10)
	default:
		return fmt.Sprintf("%dB", n)
	}
}

// Method is the request's method.
func (w Work) Method() string {
	if w.Up > 0 {
		return http.MethodPost
	}
	return http.MethodGet
}

// Path is the request's path.
func (w Work) Path() string {
	switch {
	case w.Kind == KindWebSocket:
		return echoPath
	case w.Down > 0:
		return bytesPath + strconv.FormatInt(w.Down, 10)
	case w.Up > 0:
		return uploadPath
	default:
		return smallPath
	}
}

// A Field is a field of a request's head.
type Field struct{ Name, Value string }

// Fields are those of every request, as a small program has them.
var Fields = []Field{
	{"User-Agent", "culvert-bench/1.0"},
	{"Accept", "text/plain"},
	{"Authorization", "Bearer 0123456789abcdef"},
}
