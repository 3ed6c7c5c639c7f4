package main

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"time"

	"github.com/alecthomas/kong"

	"github.com/culvert-http/culvert"
	"github.com/culvert-http/culvert/internal/accesslog"
	"github.com/culvert-http/culvert/internal/server"
)

// serveCommand serves an application through the tunnel.
type serveCommand struct {
	Target string `arg:"" optional:"" env:"CULVERT_TARGET" help:"The application: http://…, https://…, h2c://…, unix:/path, unix+h2c:/path, or a folder. Without it, an embedded demo application."`

	Authority    []string            `help:"Value of Host that is accepted on a loopback address beside the names of the loopback." placeholder:"HOST[:PORT]"`
	Trust        []netip.Prefix      `help:"Network whose RPC clients are believed in what they say of theirs: address, scheme, forwarded fields." placeholder:"CIDR"`
	Upgrade      []string            `default:"websocket" help:"Protocol that a request may upgrade to; none turns upgrades off."`
	Sessions     culvert.SessionMode `default:"recommend" help:"Whether clients should carry their exchanges in sessions: recommend, allow or off." placeholder:"MODE"`
	NoReflection bool                `help:"Do not serve gRPC's reflection."`
	Grace        time.Duration       `default:"20s" help:"Time for exchanges to finish after SIGTERM or SIGINT."`
	PrintConfig  bool                `env:"-" help:"Print what flags, environment and defaults come to, as YAML, and exit."`

	execFlags
	upstreamFlags
	listenFlags `set:"listen=127.0.0.1:8080"`
	tlsFlags
	accessFlags
	corsFlags
	healthFlags
	boundFlags
	logFlags
}

// Help is the part of the help after the first line.
func (*serveCommand) Help() string {
	return `The tunnel is the RPC service ` + culvert.ServiceName + `, on gRPC, gRPC-Web and Connect, on HTTP/1.1 and
HTTP/2, with TLS or without. Beside it are health (grpc.health.v1, /readyz, /livez) and reflection.
The application is reachable through the tunnel only. Another server need not answer for the start:
health is NOT_SERVING while it does not.

With --exec serve starts the application itself, on a unix socket, and listens when it does. What the
command writes is logged, a line an entry. It is one program with its arguments, quoted as for a
shell, and stays in the foreground; one that ends is started again, after a while that grows. It gets
SIGTERM, with all that it has started, when the exchanges have finished.

Whoever reaches it may call, until --tokens, --client-ca or --jwt-keys say who. What the application
may be asked for, --allow-authority, --allow-method and --allow-path say.

Every flag can be given in the environment, too; several values are separated by commas.

SIGTERM or SIGINT drains: health turns NOT_SERVING, new exchanges are refused as not started, and
those that run have the grace to finish. A second signal cuts them off at once. Both exit with 0, a
failure to start with 1, and bad usage with 2.

Examples:

    culvert serve                            the demo application on 127.0.0.1:8080
    culvert serve ./public                   a folder
    culvert serve http://localhost:3000      another server
    culvert serve unix:/run/app.sock         the same on a unix socket
    culvert serve --exec 'uvicorn --uds {socket} mysite.asgi:application'
    culvert serve --exec 'node server.js'    the same, for a server that listens on $CULVERT_SOCKET
    culvert serve --listen :8080 --grace 1m http://app:3000
    culvert serve --listen :8443 --tls-cert tls.crt --tls-key tls.key h2c://app:3000
    culvert serve --listen :8443 --tls-cert tls.crt --tls-key tls.key --tokens tokens \
        --allow-path /api --no-reflection http://localhost:3000
    culvert serve --cors-origin https://page.example http://localhost:3000
    culvert serve --listen 127.0.0.1:0 --log-format json

    curl --json '{"path":"/get"}' http://127.0.0.1:8080/` + culvert.ServiceName + `/Call
    grpcurl -plaintext -d '{"head":{"path":"/get"},"end":true}' \
        127.0.0.1:8080 ` + culvert.ServiceName + `/Exchange`
}

// Validate has the parser refuse what makes no sense.
func (c *serveCommand) Validate() error {
	if c.Grace < 0 {
		return errors.New("--grace must not be negative")
	}
	if c.Exec != "" && c.Target != "" {
		return errors.New("--exec and TARGET exclude each other")
	}
	for _, validate := range []func() error{
		c.execFlags.validate,
		c.upstreamFlags.validate,
		c.tlsFlags.validate,
		func() error { return c.accessFlags.validate(c.TLSCert != "") },
		c.corsFlags.validate,
		c.healthFlags.validate,
		c.boundFlags.validate,
	} {
		if err := validate(); err != nil {
			return err
		}
	}
	return nil
}

// Run serves until a signal.
func (c *serveCommand) Run(out *streams, command *kong.Context) error {
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
	target, err := c.openTarget(signals, log)
	if errors.Is(err, errEndedEarly) {
		log.Info("stopped")
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { _ = target.close() }()
	certificate, err := c.openCertificate(log)
	if err != nil {
		return err
	}
	if certificate != nil {
		defer certificate.Close()
	}
	access, err := c.accessFlags.open(log.Logger)
	if err != nil {
		return err
	}
	defer access.close()
	health := server.NewHealth(culvert.ServiceName)
	srv, err := c.newServer(target, health, certificate, access, log)
	if err != nil {
		return fmt.Errorf("start server: %w", err)
	}
	defer srv.Close()
	listener, err := c.listenFlags.open(inherited)
	if err != nil {
		return err
	}
	defer c.startProbe(target, health, log.Logger)()
	announce(out.err, log, &announcement{
		addr:        listener.Addr(),
		target:      target,
		reflection:  !c.NoReflection,
		certificate: certificate,
		certFile:    c.TLSCert,
		access:      &c.accessFlags,
	})
	if err := serveUntil(signals, target.lost(), srv, listener, c.Grace, log); err != nil {
		return err
	}
	return target.failure()
}

func (c *serveCommand) openTarget(signals <-chan os.Signal, log *accesslog.Log) (*target, error) {
	if c.Exec != "" {
		return openExec(&c.execFlags, &c.upstreamFlags, signals, log)
	}
	return openTarget(c.Target, &c.upstreamFlags)
}

func (c *serveCommand) newServer(
	target *target, health *server.Health, certificate *server.Certificate, access *access, log *accesslog.Log,
) (*server.Server, error) {
	opts := append(c.handlerOptions(), access.options()...)
	opts = append(opts,
		culvert.WithUpgrades(c.upgrades()...),
		culvert.WithSessions(c.Sessions),
		culvert.WithTrustedNetworks(c.Trust...),
		culvert.WithLogger(log.Logger),
		culvert.WithObserver(log.Exchange),
	)
	pattern, handler := culvert.NewHandler(c.scope().Handler(target), opts...)
	config := server.Config{
		Pattern:             pattern,
		HandOver:            c.ReusePort,
		Handler:             handler,
		Services:            []string{culvert.ServiceName},
		Health:              health,
		ReadyPath:           c.ReadyPath,
		LivePath:            c.LivePath,
		Reflection:          !c.NoReflection,
		Authenticate:        access.authenticator(),
		Authorities:         c.Authority,
		CORS:                c.cors(),
		MaxExchangesPerConn: c.count("max-exchanges-per-conn"),
		Logger:              log.Logger,
	}
	c.bound(&config)
	if certificate != nil {
		config.TLS = certificate.TLSConfig()
		access.secure(config.TLS)
	}
	return server.New(config)
}

func (c *serveCommand) upgrades() []string {
	return slices.DeleteFunc(slices.Clone(c.Upgrade), func(protocol string) bool {
		return protocol == "" || protocol == "none"
	})
}
