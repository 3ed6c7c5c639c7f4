package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"

	"github.com/culvert-http/culvert"
	"github.com/culvert-http/culvert/internal/accesslog"
	"github.com/culvert-http/culvert/internal/server"
)

const gatewayExposed = "whoever reaches this address can call the application: " +
	"let in only who has a client certificate (--client-ca), or listen on 127.0.0.1"

// gatewayAnnouncement is what gateway says when it starts: where it listens, as
// serve does, and where it leads.
type gatewayAnnouncement struct {
	announcement
	server   string
	protocol culvert.Protocol
}

// announceGateway writes the announcement, as [announce] does.
func announceGateway(w io.Writer, log *accesslog.Log, a *gatewayAnnouncement) {
	if log.Text {
		fmt.Fprint(w, a.text())
	} else {
		_ = log.Handler().Handle(context.Background(), a.record())
	}
	if !server.IsLoopback(a.addr) && !a.access.asks() {
		log.Warn(gatewayExposed, "addr", a.addr.String())
	}
}

func (a *gatewayAnnouncement) record() slog.Record {
	record := slog.NewRecord(time.Now(), slog.LevelInfo, "listening", 0)
	record.Add("addr", a.addr.String(), "url", a.url(a.addr.String()),
		"server", a.server, "protocol", a.protocol.String(), "try", a.commands())
	return record
}

func (a *gatewayAnnouncement) text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "listening on %s\n", a.url(a.addr.String()))
	fmt.Fprintf(&b, "behind it: what %s serves, through %s on %s\n", a.server, culvert.ServiceName, a.protocol)
	b.WriteString("try:\n")
	for _, command := range a.commands() {
		fmt.Fprintf(&b, "  %s\n", command)
	}
	b.WriteByte('\n')
	return b.String()
}

// commands are three that work as they are where the demo application is at the
// other end: one that streams, one with a body, and one on HTTP/2.
func (a *gatewayAnnouncement) commands() []string {
	addr, trust := a.reachable()
	url, curl := a.url(addr), "curl"+trust.curl+a.shown().curl
	prior := " --http2-prior-knowledge"
	if a.certificate != nil {
		prior = " --http2"
	}
	return []string{
		fmt.Sprintf("%s %s/", curl, url),
		fmt.Sprintf("%s -N '%s/drip?duration=2&numbytes=4'", curl, url),
		fmt.Sprintf("%s%s -d hello %s/anything", curl, prior, url),
	}
}
