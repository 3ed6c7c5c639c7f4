package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/culvert-http/culvert"
	"github.com/culvert-http/culvert/internal/accesslog"
	"github.com/culvert-http/culvert/internal/server"
)

// What serve warns of where more than this machine reaches it.
const (
	exposed = "whoever reaches this address can call the application: let in only who has a token (--tokens), " +
		"a client certificate (--client-ca) or a JWT (--jwt-keys), or listen on 127.0.0.1"
	readable = "tokens can be read on their way here: give serve a certificate (--tls-cert), unless a proxy in front has one"
)

// announcement is what serve says when it starts.
type announcement struct {
	addr       net.Addr
	target     *target
	reflection bool
	// certificate is nil without TLS; certFile is where it is from.
	certificate *server.Certificate
	certFile    string
	// access is who may enter.
	access *accessFlags
}

// announce writes the announcement, whatever the level of the log: for people as
// text with commands to try, else as one entry of the log.
func announce(w io.Writer, log *accesslog.Log, a *announcement) {
	if log.Text {
		fmt.Fprint(w, a.text())
	} else {
		_ = log.Handler().Handle(context.Background(), a.record())
	}
	switch {
	case server.IsLoopback(a.addr):
	case !a.access.asks():
		log.Warn(exposed, "addr", a.addr.String())
	case a.certificate == nil:
		log.Warn(readable, "addr", a.addr.String())
	}
}

func (a *announcement) record() slog.Record {
	record := slog.NewRecord(time.Now(), slog.LevelInfo, "listening", 0)
	record.Add("addr", a.addr.String(), "url", a.url(a.addr.String()),
		"target", a.target.description, "try", a.commands())
	return record
}

func (a *announcement) text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "listening on %s\n", a.url(a.addr.String()))
	fmt.Fprintf(&b, "behind it: %s, through %s\n", a.target.description, culvert.ServiceName)
	b.WriteString("try:\n")
	for _, command := range a.commands() {
		fmt.Fprintf(&b, "  %s\n", command)
	}
	b.WriteByte('\n')
	return b.String()
}

func (a *announcement) url(addr string) string {
	if a.certificate != nil {
		return "https://" + addr
	}
	return "http://" + addr
}

// commands are three that work as they are: with JSON on HTTP/1.1, with gRPC, and
// one whose response streams.
func (a *announcement) commands() []string {
	addr, trust := a.reachable()
	shown := a.shown()
	curl, grpcurl := "curl"+trust.curl+shown.curl, "grpcurl"+trust.grpcurl+shown.grpcurl
	if !a.reflection {
		grpcurl += " -import-path api -proto culvert/v1/service.proto"
	}
	return []string{
		fmt.Sprintf(`%s --json '{"path":"%s"}' %s/%s/Call`, curl, a.target.path, a.url(addr), culvert.ServiceName),
		fmt.Sprintf(`%s -d '{"head":{"path":"%s"},"end":true}' %s %s/Exchange`, grpcurl, a.target.path, addr, culvert.ServiceName),
		fmt.Sprintf(`%s -d '{"head":{"path":"%s"}}' %s %s/Download`, grpcurl, a.target.streamPath, addr, culvert.ServiceName),
	}
}

// trust is what has the programs of the commands trust the server.
type trust struct{ curl, grpcurl string }

// shown is what has the programs of the commands show who calls: a token of the
// environment, and a certificate in files of usual names.
func (a *announcement) shown() trust {
	var shown trust
	if a.access.Tokens != "" || a.access.JWTKeys != "" {
		const field = ` -H "Authorization: Bearer $` + tokenVariable + `"`
		shown.curl, shown.grpcurl = field, field
	}
	if a.access.ClientCA != "" {
		shown.curl += " --cert client.crt --key client.key"
		shown.grpcurl += " -cert client.crt -key client.key"
	}
	return shown
}

// reachable is an address for a client on this machine, under a name that the
// certificate has if it has one. Whoever signed the certificate, a client that is
// given it as its root trusts it.
func (a *announcement) reachable() (string, trust) {
	addr, port := a.addr.String(), ""
	if tcp, ok := a.addr.(*net.TCPAddr); ok {
		port = strconv.Itoa(tcp.Port)
		if tcp.IP.IsUnspecified() {
			addr = net.JoinHostPort("localhost", port)
		}
	}
	if a.certificate == nil {
		return addr, trust{grpcurl: " -plaintext"}
	}
	byFile := trust{curl: " --cacert " + quoted(a.certFile), grpcurl: " -cacert " + quoted(a.certFile)}
	leaf := a.certificate.Current().Leaf
	host, _, _ := net.SplitHostPort(addr)
	switch {
	case leaf.VerifyHostname(host) == nil:
		return addr, byFile
	case server.IsLoopback(a.addr) && leaf.VerifyHostname("localhost") == nil:
		return net.JoinHostPort("localhost", port), byFile
	default:
		return addr, trust{curl: " --insecure", grpcurl: " -insecure"}
	}
}

var plainWord = regexp.MustCompile(`^[A-Za-z0-9_./:@%+=,-]+$`)

// quoted returns a word as a shell reads it.
func quoted(word string) string {
	if plainWord.MatchString(word) {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}
