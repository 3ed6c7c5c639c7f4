package main

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/culvert-http/culvert/internal/testcert"
)

type upstreamKey struct{}

// scriptUpstream is the server that a script has serve stand in front of.
type scriptUpstream struct {
	network, address string
	tls              *tls.Config
	sick, shaky      atomic.Bool
	probes           atomic.Int64
	server           *http.Server
}

func scriptUpstreamCommand(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) == 2 && args[0] == "probed" {
		count, err := strconv.ParseInt(args[1], 10, 64)
		ts.Check(err)
		upstreamOf(ts).awaitProbes(ts, count)
		return
	}
	if len(args) != 1 {
		ts.Fatalf("usage: upstream KIND|stop|start|sick|shaky|well|probed N")
	}
	u := upstreamOf(ts)
	switch kind := args[0]; kind {
	case "stop":
		ts.Check(u.server.Close())
	case "start":
		u.start(ts)
	case "sick":
		u.sick.Store(true)
	case "shaky":
		u.sick.Store(false)
		u.shaky.Store(true)
	case "well":
		u.sick.Store(false)
		u.shaky.Store(false)
	case "unix", "unix+h2c":
		u.network, u.address, u.tls = "unix", ts.MkAbs("app.sock"), nil
		u.start(ts)
		ts.Setenv("TARGET", kind+":"+u.address)
	case "http", "https", "h2c":
		u.network, u.address, u.tls = "tcp", "127.0.0.1:0", nil
		if kind == "https" {
			u.tls = upstreamTLS(ts)
		}
		u.start(ts)
		ts.Setenv("TARGET", kind+"://"+u.address)
	default:
		ts.Fatalf("upstream %s: unknown", kind)
	}
}

func upstreamOf(ts *testscript.TestScript) *scriptUpstream {
	return ts.Value(upstreamKey{}).(*scriptUpstream)
}

// awaitProbes waits until /healthz was asked for so often more.
func (u *scriptUpstream) awaitProbes(ts *testscript.TestScript, count int64) {
	ticker := time.NewTicker(time.Millisecond)
	defer ticker.Stop()
	late := time.NewTimer(patience)
	defer late.Stop()
	for until := u.probes.Load() + count; u.probes.Load() < until; {
		select {
		case <-ticker.C:
		case <-late.C:
			ts.Fatalf("the upstream is not asked how it is")
		}
	}
}

func (u *scriptUpstream) start(ts *testscript.TestScript) {
	listener, err := net.Listen(u.network, u.address)
	ts.Check(err)
	u.address = listener.Addr().String()
	u.server = &http.Server{
		Handler:   u,
		Protocols: new(http.Protocols),
		TLSConfig: u.tls,
		ErrorLog:  slog.NewLogLogger(slog.DiscardHandler, slog.LevelError),
	}
	u.server.Protocols.SetHTTP1(true)
	u.server.Protocols.SetHTTP2(u.tls != nil)
	u.server.Protocols.SetUnencryptedHTTP2(u.tls == nil)
	server := u.server
	ts.Defer(func() { _ = server.Close() })
	if u.tls != nil {
		go func() { _ = server.ServeTLS(listener, "", "") }()
	} else {
		go func() { _ = server.Serve(listener) }()
	}
}

// ServeHTTP says what the request came with.
func (u *scriptUpstream) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.URL.Path == "/hang":
		<-r.Context().Done()
	case r.URL.Path == "/healthz" && (u.probes.Add(1)%2 == 1 && u.shaky.Load() || u.sick.Load()):
		http.Error(w, "sick", http.StatusInternalServerError)
	case r.URL.Path == "/forwarded":
		for _, name := range []string{"X-Forwarded-For", "X-Forwarded-Proto", "Forwarded", "Client-Cert"} {
			fmt.Fprintf(w, "%s: %s\n", name, strings.Join(r.Header[name], " AND "))
		}
	default:
		fmt.Fprintf(w, "%s %s for %s over %s\n", r.Method, r.RequestURI, r.Host, r.Proto)
	}
}

func upstreamTLS(ts *testscript.TestScript) *tls.Config {
	cert, key, err := testcert.New("upstream", time.Now().AddDate(1, 0, 0))
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs("upstream.crt"), cert, 0o600))
	pair, err := tls.X509KeyPair(cert, key)
	ts.Check(err)
	return &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
}

func scriptKeypair(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 1 {
		ts.Fatalf("usage: keypair NAME")
	}
	cert, key, err := testcert.New(args[0], time.Now().AddDate(1, 0, 0))
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs("tls.crt"), cert, 0o600))
	ts.Check(os.WriteFile(ts.MkAbs("tls.key"), key, 0o600))
}
