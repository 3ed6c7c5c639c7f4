package app

import (
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/coder/websocket"

	"github.com/culvert-http/culvert"
)

const (
	smallPath  = "/small"
	bytesPath  = "/bytes/"
	uploadPath = "/upload"
	echoPath   = "/echo"
)

// IdlePath is that of exchanges whose response begins and ends only when the
// client or [App.EndIdle] does.
const IdlePath = "/idle"

// Carrier is the RPC of Culvert's that an exchange has come by, with the names of
// [culvert.Peer]. Both are empty for everything else.
type Carrier struct{ Method, Protocol string }

// String returns the carrier for an error's text.
func (c Carrier) String() string {
	if c == (Carrier{}) {
		return "no RPC of Culvert's"
	}
	return c.Method + " on " + c.Protocol
}

// carriers are those that are counted one by one.
var carriers = [...]Carrier{
	{},
	{"Session", "grpc"},
	{"Exchange", "grpc"},
	{"Exchange", "grpcweb"},
	{"Exchange", "connect"},
	{"Upload", "grpc"},
	{"Download", "grpc"},
	{"Call", "grpc"},
}

// App is the application. It is safe for concurrent use.
type App struct {
	carried [len(carriers)]atomic.Int64
	others  atomic.Int64
	idle    chan struct{}
	endIdle sync.Once
}

// New returns an application.
func New() *App { return &App{idle: make(chan struct{})} }

// EndIdle ends the responses of IdlePath.
func (a *App) EndIdle() { a.endIdle.Do(func() { close(a.idle) }) }

// Counts are numbers of exchanges that came by a carrier, and by others.
type Counts struct{ As, Otherwise int64 }

// Since returns what has come on top.
func (c Counts) Since(before Counts) Counts {
	return Counts{c.As - before.As, c.Otherwise - before.Otherwise}
}

// Carried returns how many exchanges have come by the carrier so far.
func (a *App) Carried(by Carrier) Counts {
	counts := Counts{Otherwise: a.others.Load()}
	for i, carrier := range carriers {
		if n := a.carried[i].Load(); carrier == by {
			counts.As += n
		} else {
			counts.Otherwise += n
		}
	}
	return counts
}

// ServeHTTP implements http.Handler.
func (a *App) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.count(r)
	path := r.URL.Path
	switch {
	case path == smallPath:
		answer(w)
	case path == uploadPath:
		receive(w, r)
	case path == echoPath:
		echo(w, r)
	case path == IdlePath:
		a.wait(w, r)
	case strings.HasPrefix(path, bytesPath):
		send(w, path[len(bytesPath):])
	default:
		http.NotFound(w, r)
	}
}

func (a *App) count(r *http.Request) {
	peer, _ := culvert.PeerFromContext(r.Context())
	carrier := Carrier{peer.Method, peer.Protocol}
	for i := range carriers {
		if carriers[i] == carrier {
			a.carried[i].Add(1)
			return
		}
	}
	a.others.Add(1)
}

func answer(w http.ResponseWriter) {
	header := w.Header()
	header.Set("Content-Type", "text/plain; charset=utf-8")
	header.Set("Content-Length", strconv.Itoa(len(Answer)))
	_, _ = io.WriteString(w, Answer)
}

var scratches = sync.Pool{New: func() any { return new([chunk]byte) }}

func receive(w http.ResponseWriter, r *http.Request) {
	scratch := scratches.Get().(*[chunk]byte)
	defer scratches.Put(scratch)
	if err := CheckBody(r.Body, r.ContentLength, scratch[:]); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	answer(w)
}

func send(w http.ResponseWriter, length string) {
	n, err := strconv.ParseInt(length, 10, 64)
	if err != nil || n < 0 {
		http.Error(w, "not a length", http.StatusBadRequest)
		return
	}
	header := w.Header()
	header.Set("Content-Type", "application/octet-stream")
	header.Set("Content-Length", length)
	body := NewBody(n)
	for piece := body.next(chunk); len(piece) > 0; piece = body.next(chunk) {
		if _, err := w.Write(piece); err != nil {
			return
		}
	}
}

func (a *App) wait(w http.ResponseWriter, r *http.Request) {
	if err := http.NewResponseController(w).Flush(); err != nil {
		return
	}
	select {
	case <-a.idle:
	case <-r.Context().Done():
	}
}

func echo(w http.ResponseWriter, r *http.Request) {
	conn, err := websocket.Accept(w, r, nil)
	if err != nil {
		return // it has been answered
	}
	defer func() { _ = conn.CloseNow() }()
	for {
		kind, message, err := conn.Read(r.Context())
		if err != nil {
			return
		}
		if err := conn.Write(r.Context(), kind, message); err != nil {
			return
		}
	}
}
