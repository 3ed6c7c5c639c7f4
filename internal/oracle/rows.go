package oracle

import (
	"bytes"
	"io"
	"maps"
	"net/http"
	"strings"
)

// Rows returns the table. Every call makes a new one.
func Rows() []Row {
	var rows []Row
	for _, theme := range []func() []Row{
		methodRows, statusRows, requestFieldRows, responseFieldRows, lengthRows, requestBodyRows, responseBodyRows,
		trailerRows, informationalRows, failureRows, targetRows, writerRows, libraryRows, upgradeRows, oldRows,
	} {
		rows = append(rows, theme()...)
	}
	return rows
}

// chunks splits size bytes, which are all different enough, into chunks.
func chunks(size, each int) []string {
	var all strings.Builder
	for i := 0; all.Len() < size; i++ {
		all.WriteString("0123456789abcdefghijklmnopqrstuvwxyz"[i%36:])
	}
	rest := all.String()[:size]
	parts := make([]string, 0, size/each+1)
	for len(rest) > each {
		parts = append(parts, rest[:each])
		rest = rest[each:]
	}
	return append(parts, rest)
}

// hello answers with a short text.
func hello(w http.ResponseWriter, _ *http.Request) {
	_, _ = io.WriteString(w, "hello\n")
}

// echo answers with the body of the request, after it has read all of it.
func echo(w http.ResponseWriter, r *http.Request) {
	body := bytes.NewBuffer(make([]byte, 0, min(max(r.ContentLength, 0), large)+bytes.MinRead))
	if _, err := body.ReadFrom(r.Body); err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	_, _ = w.Write(body.Bytes())
}

// answer returns a handler that answers with a status and a text.
func answer(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		if body != "" {
			_, _ = io.WriteString(w, body)
		}
	}
}

// fields returns a handler that sets fields and answers with a short text.
func fields(header http.Header) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		maps.Copy(w.Header(), header)
		hello(w, r)
	}
}
