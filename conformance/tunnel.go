package main

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
)

// tunnel is culvert serve in front of a server, and culvert gateway in front of
// that.
type tunnel struct {
	serve   *culvertProcess
	gateway *culvertProcess
	files   string // a folder
}

func openTunnel(s *subject, to upstream, creds *credentials) (*tunnel, error) {
	t := new(tunnel)
	if err := t.open(s, to, creds); err != nil {
		return nil, fmt.Errorf("open tunnel: %w; %s", err, strings.Join(t.stop().Faults, "; "))
	}
	return t, nil
}

func (t *tunnel) open(s *subject, to upstream, creds *credentials) error {
	var err error
	// The runner ends its servers before its client, which is not to be told of.
	if t.serve, err = startCulvert(s, "serve", "--no-health-upstream", to.target()); err != nil {
		return err
	}
	args := []string{"--protocol", s.Protocol, "--method", s.Method}
	if creds != nil {
		tlsArgs, err := t.writeCredentials(creds)
		if err != nil {
			return err
		}
		args = append(args, tlsArgs...)
	}
	args = append(args, "http://"+t.serve.addr.String())
	t.gateway, err = startCulvert(s, "gateway", args...)
	return err
}

// writeCredentials returns the flags of culvert that name them.
func (t *tunnel) writeCredentials(creds *credentials) ([]string, error) {
	var err error
	if t.files, err = os.MkdirTemp("", "conformance-"); err != nil {
		return nil, fmt.Errorf("write certificate: %w", err)
	}
	cert, key := filepath.Join(t.files, "cert.pem"), filepath.Join(t.files, "key.pem")
	if err := os.WriteFile(cert, creds.cert, 0o600); err != nil {
		return nil, fmt.Errorf("write certificate: %w", err)
	}
	if err := os.WriteFile(key, creds.key, 0o600); err != nil {
		return nil, fmt.Errorf("write certificate: %w", err)
	}
	return []string{"--tls-cert", cert, "--tls-key", key}, nil
}

func (t *tunnel) address() *net.TCPAddr { return t.gateway.addr }

// stop ends the gateway before what it needs.
func (t *tunnel) stop() *report {
	r := new(report)
	for _, p := range []*culvertProcess{t.gateway, t.serve} {
		if p != nil {
			r.fault(p.stop())
		}
	}
	if t.serve != nil {
		for kind, n := range t.serve.carried {
			r.count(kind, n)
		}
	}
	if t.files != "" {
		r.fault(os.RemoveAll(t.files))
	}
	return r
}
