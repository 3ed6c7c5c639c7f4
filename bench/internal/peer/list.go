package peer

import (
	"github.com/culvert-http/culvert"
	"github.com/culvert-http/culvert/bench/internal/app"
)

// Names of peers that targets and pictures refer to.
const (
	Auto         = "auto"
	Session      = "session"
	Exchange     = "exchange"
	Gateway      = "gateway"
	HTTP1        = "http1"
	H2C          = "h2c"
	ReverseProxy = "reverse-proxy"
	Nginx        = "nginx"
	Dskit        = "dskit"
	DskitGateway = "dskit-gateway"
	GRPCTunnel   = "grpc-tunnel"
	BareConnect  = "bare-connect"
	GRPCWeb      = "exchange-grpc-web"
	Connect      = "exchange-connect"
	Upload       = "upload"
	Download     = "download"
	Call         = "call"
)

// List returns all peers, in the order of tables.
func List() []*Peer {
	session := app.Carrier{Method: "Session", Protocol: "grpc"}
	return []*Peer{
		{
			Name: Session, Title: "Culvert, session", Carrier: session, Does: everything,
			open: throughCulvert(culvert.WithMethod(culvert.MethodSession)),
		},
		{Name: Auto, Title: "Culvert, transport without options", Carrier: session, Does: everything, open: throughCulvert()},
		exchangePeer(Exchange, culvert.ProtocolGRPC, "grpc"),
		exchangePeer(GRPCWeb, culvert.ProtocolGRPCWeb, "grpcweb"),
		exchangePeer(Connect, culvert.ProtocolConnect, "connect"),
		methodPeer(Upload, culvert.MethodUpload, "Upload"),
		methodPeer(Download, culvert.MethodDownload, "Download"),
		methodPeer(Call, culvert.MethodCall, "Call"),
		{Name: Gateway, Title: "Culvert's gateway, from HTTP/1.1 to a session", Carrier: session, Does: everything, open: openGateway},
		{Name: HTTP1, Title: "net/http, HTTP/1.1", Does: everything, open: openHTTP1},
		{Name: H2C, Title: "net/http, h2c", open: openH2C},
		{Name: ReverseProxy, Title: "httputil.ReverseProxy, HTTP/1.1 both sides", Does: everything, open: openReverseProxy},
		{
			Name: Nginx, Title: "nginx, HTTP/1.1 both sides", Outside: true, Does: everything,
			Needs: "nginx", Install: "apt-get install nginx", open: openNginx,
		},
		{Name: Dskit, Title: "dskit httpgrpc", open: openDskit},
		{Name: DskitGateway, Title: "dskit httpgrpc behind a gateway for HTTP/1.1", open: openDskitGateway},
		{Name: GRPCTunnel, Title: "plain tunnel on grpc-go", open: openGRPCTunnel},
		{Name: BareConnect, Title: "bare bidi echo on connect", Bare: true, Does: smallOnly, open: openConnect},
	}
}

func everything(app.Work) bool { return true }

func smallOnly(work app.Work) bool { return work == app.Small() }

func exchangePeer(name string, protocol culvert.Protocol, as string) *Peer {
	return &Peer{
		Name:    name,
		Title:   "Culvert, exchange on " + protocol.String(),
		Carrier: app.Carrier{Method: "Exchange", Protocol: as},
		Does:    everything,
		open:    throughCulvert(culvert.WithMethod(culvert.MethodExchange), culvert.WithProtocol(protocol)),
	}
}

// methodPeer is a transport whose method takes, or gives, bodies as one message.
func methodPeer(name string, method culvert.Method, as string) *Peer {
	return &Peer{
		Name:    name,
		Title:   "Culvert, " + method.String(),
		Carrier: app.Carrier{Method: as, Protocol: "grpc"},
		Does: func(work app.Work) bool {
			return work.Kind == app.KindHTTP && max(work.Up, work.Down) <= culvert.DefaultMaxBodyBytes
		},
		open: throughCulvert(culvert.WithMethod(method)),
	}
}
