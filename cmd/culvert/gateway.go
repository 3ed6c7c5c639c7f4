package main

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/alecthomas/kong"

	"github.com/culvert-http/culvert"
	"github.com/culvert-http/culvert/internal/accesslog"
	"github.com/culvert-http/culvert/internal/server"
)

// gatewayCommand gives the tunnel to plain HTTP clients.
type gatewayCommand struct {
	Server string `arg:"" env:"CULVERT_SERVER" help:"The culvert serve at the other end: http://HOST:PORT or https://HOST:PORT."`

	Authority   []string       `help:"Value of Host that is accepted on a loopback address beside the names of the loopback; * accepts all." placeholder:"HOST[:PORT]"`
	Trust       []netip.Prefix `help:"Network of proxies in front that are believed in what they say of their clients: address, scheme, forwarded fields." placeholder:"CIDR"`
	Grace       time.Duration  `default:"20s" help:"Time for requests to finish after SIGTERM or SIGINT."`
	PrintConfig bool           `env:"-" help:"Print what flags, environment and defaults come to, as YAML, and exit."`

	transportFlags
	listenFlags `set:"listen=127.0.0.1:8081"`
	tlsFlags
	certificateFlags
	boundFlags
	gatewayHealth
	logFlags
}

// gatewayHealth are the gateway's own paths. All others are the application's, so
// that there are none unless asked for.
type gatewayHealth struct {
	ReadyPath string `help:"Path that answers a GET with 200 while the gateway takes requests, and with 503 while it drains." placeholder:"/PATH" group:"Health"`
	LivePath  string `help:"Path that answers a GET with 200 while the process is there." placeholder:"/PATH" group:"Health"`
}

// Help is the part of the help after the first line.
func (*gatewayCommand) Help() string {
	return `Plain HTTP comes in, on HTTP/1.1 and HTTP/2, with TLS or without, and goes through the tunnel of a
culvert serve. Every path is the application's. The server need not answer for the start: a request
that does not reach it is answered with 502, and a Proxy-Status field that says why.

Every flag can be given in the environment, too; several values are separated by commas.

SIGTERM or SIGINT drains: new requests are answered with 503, and those that run have the grace to
finish. A second signal cuts them off at once. Both exit with 0, a failure to start with 1, and bad
usage with 2.

Examples:

    culvert gateway http://127.0.0.1:8080         the other end of culvert serve
    culvert gateway --listen :8081 --trust 10.0.0.0/8 https://tunnel.example
    culvert gateway --listen :8443 --tls-cert tls.crt --tls-key tls.key --client-ca clients.pem http://127.0.0.1:8080
    culvert gateway --protocol connect --method download http://tunnel.example
    culvert gateway --rpc-header "Authorization: Bearer $TOKEN" https://tunnel.example

    curl http://127.0.0.1:8081/get
    curl -x http://127.0.0.1:8081 http://app.localhost/get`
}

// transportOptions are the bounds of the gateway's transport: it has sessions that
// many share, as a single call has not.
func (c *gatewayCommand) transportOptions() []culvert.TransportOption {
	return append(c.boundFlags.transportOptions(), culvert.WithMaxSessionBytes(c.count("max-session-bytes")))
}

// Validate has the parser refuse what makes no sense.
func (c *gatewayCommand) Validate() error {
	if c.Grace < 0 {
		return errors.New("--grace must not be negative")
	}
	if err := server.ValidateStatePaths(c.ReadyPath, c.LivePath); err != nil {
		return fmt.Errorf("--ready-path and --live-path: %w", err)
	}
	if err := c.tlsFlags.validate(); err != nil {
		return err
	}
	if err := c.certificateFlags.validate(c.TLSCert != ""); err != nil {
		return err
	}
	if err := c.boundFlags.validate(); err != nil {
		return err
	}
	return c.transportFlags.validate()
}

// Run serves until a signal.
func (c *gatewayCommand) Run(out *streams, command *kong.Context) error {
	if c.PrintConfig {
		return printConfig(out.out, command)
	}
	signals, stop := awaitSignal()
	defer stop()
	log := c.newLog(out.err)
	inherited, err := c.inherit()
	if err != nil {
		return err
	}
	transport, release, err := c.transportFlags.open(serverURL(c.Server), log.Logger, c.transportOptions()...)
	if err != nil {
		return err
	}
	defer release()
	certificate, err := c.openCertificate(log)
	if err != nil {
		return err
	}
	if certificate != nil {
		defer certificate.Close()
	}
	access, err := c.certificateFlags.alone().open(log.Logger)
	if err != nil {
		return err
	}
	defer access.close()
	srv, err := c.newServer(transport, certificate, access, log)
	if err != nil {
		return fmt.Errorf("start server: %w", err)
	}
	defer srv.Close()
	listener, err := c.listenFlags.open(inherited)
	if err != nil {
		return err
	}
	announceGateway(out.err, log, &gatewayAnnouncement{
		announcement: announcement{addr: listener.Addr(), certificate: certificate, certFile: c.TLSCert, access: access.flags},
		server:       serverURL(c.Server),
		protocol:     c.Protocol,
	})
	return serveUntil(signals, nil, srv, listener, c.Grace, log)
}

func (c *gatewayCommand) newServer(
	transport *culvert.Transport, certificate *server.Certificate, access *access, log *accesslog.Log,
) (*server.Server, error) {
	opts := append(c.gatewayOptions(), access.gatewayOptions()...)
	gateway := culvert.NewGateway(transport, append(opts,
		culvert.WithTrustedProxies(c.Trust...),
		culvert.WithGatewayObserver(log.Exchange),
	)...)
	config := server.Config{
		Pattern:     "/",
		HandOver:    c.ReusePort,
		Handler:     gateway,
		Health:      server.NewHealth(),
		ReadyPath:   c.ReadyPath,
		LivePath:    c.LivePath,
		AnyHost:     slices.Contains(c.Authority, "*"),
		Authorities: c.Authority,
		Logger:      log.Logger,
	}
	c.bound(&config)
	if certificate != nil {
		config.TLS = certificate.TLSConfig()
		access.secure(config.TLS)
	}
	return server.New(config)
}
