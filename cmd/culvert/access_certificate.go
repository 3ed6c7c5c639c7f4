package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/culvert-http/culvert"
	"github.com/culvert-http/culvert/internal/peername"
)

// certificateFlags say which clients may enter by their certificates.
type certificateFlags struct {
	ClientCA        accessFile    `name:"client-ca" help:"File of the certificates, in PEM, that sign those of clients that are let in. Needs --tls-cert." placeholder:"FILE" group:"Access"`
	AllowClient     allowList     `help:"Name in a client's certificate that lets it in: DNS name, *.DOMAIN, or URI such as spiffe://DOMAIN/PATH, which may end with /*. Without it, all certificates of --client-ca do." placeholder:"NAME,..." group:"Access"`
	TrustName       []string      `help:"Name in a client's certificate, as for --allow-client, whose holder is believed as the networks of --trust are." placeholder:"NAME" group:"Access"`
	CredentialGrace time.Duration `default:"${credential_grace}" help:"Time for what runs to finish after the credential that it came with has ended." group:"Access"`
}

// validate is told whether the listener speaks TLS.
func (f *certificateFlags) validate(secured bool) error {
	switch {
	case f.ClientCA != "" && !secured:
		return errors.New("--client-ca needs --tls-cert and --tls-key: certificates are of TLS")
	case f.ClientCA == "" && len(f.AllowClient)+len(f.TrustName) > 0:
		return errors.New("--allow-client and --trust-name need --client-ca, which verifies the names")
	case f.CredentialGrace < 0:
		return errors.New("--credential-grace must not be negative")
	}
	for flag, names := range map[string][]string{"--allow-client": f.AllowClient, "--trust-name": f.TrustName} {
		if _, err := peername.Parse(names); err != nil {
			return fmt.Errorf("%s: %w", flag, err)
		}
	}
	return nil
}

// alone are the flags of a command that knows clients by nothing else.
func (f *certificateFlags) alone() *accessFlags { return &accessFlags{certificateFlags: *f} }

// gatewayOptions are what a gateway does with what it knows.
func (a *access) gatewayOptions() []culvert.GatewayOption {
	opts := []culvert.GatewayOption{
		culvert.WithTrustedProxyNames(a.flags.TrustName...),
		culvert.WithGatewayCredentialGrace(a.flags.CredentialGrace),
	}
	if a.method != nil {
		opts = append(opts, culvert.WithGatewayAuthenticator(a.method.Authenticate))
	}
	return opts
}
