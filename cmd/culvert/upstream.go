package main

import (
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/culvert-http/culvert/internal/upstream"
)

// upstreamFlags are for a TARGET that is another server.
type upstreamFlags struct {
	UpstreamHost          string        `help:"Host that the upstream is asked for, in place of the one that the client asks for." placeholder:"HOST[:PORT]" group:"Upstream"`
	UpstreamDialTimeout   time.Duration `default:"${upstream_dial_timeout}" help:"Bound of the time to connect to the upstream, with TLS." group:"Upstream"`
	UpstreamHeaderTimeout time.Duration `default:"0" help:"Bound of the time from the end of a request to the head of its response; 0 for none." group:"Upstream"`
	UpstreamCA            string        `name:"upstream-ca" help:"File of the certificates, in PEM, that an https upstream is verified with in place of the system's." placeholder:"FILE" group:"Upstream"`
	UpstreamInsecure      bool          `help:"Do not verify the certificate of an https upstream." group:"Upstream"`
}

func upstreamDefaults() map[string]string {
	return map[string]string{"upstream_dial_timeout": upstream.DefaultDialTimeout.String()}
}

func (f *upstreamFlags) validate() error {
	switch {
	case f.UpstreamDialTimeout <= 0:
		return errors.New("--upstream-dial-timeout must be more than 0")
	case f.UpstreamHeaderTimeout < 0:
		return errors.New("--upstream-header-timeout must not be negative")
	case f.UpstreamCA != "" && f.UpstreamInsecure:
		return errors.New("--upstream-ca and --upstream-insecure contradict each other")
	}
	return nil
}

// upstreamSchemes are the forms of TARGET that name another server.
var upstreamSchemes = []string{"http://", "https://", "h2c://", "unix:", "unix+h2c:"}

func isUpstream(name string) bool {
	for _, scheme := range upstreamSchemes {
		if strings.HasPrefix(name, scheme) {
			return true
		}
	}
	return false
}

// openUpstream returns the server that name names. It does not connect to it.
func openUpstream(name string, flags *upstreamFlags) (*target, error) {
	if shown := redacted(name); shown != name {
		return nil, &usageError{fmt.Errorf("target %q: a user and a password are not supported", shown)}
	}
	tlsConfig, err := flags.tlsConfig(name)
	if err != nil {
		return nil, err
	}
	proxy, err := upstream.New(name, upstream.Options{
		DialTimeout:           flags.UpstreamDialTimeout,
		ResponseHeaderTimeout: flags.UpstreamHeaderTimeout,
		TLS:                   tlsConfig,
		Host:                  flags.UpstreamHost,
		// A name of this process alone, or two in a row would be taken for a loop.
		Via: "culvert-" + rand.Text()[:8],
	})
	if err != nil {
		return nil, &usageError{err}
	}
	return &target{
		Handler:     proxy,
		description: name,
		path:        "/",
		streamPath:  "/",
		ready:       proxy.Ready,
		close: func() error {
			proxy.Close()
			return nil
		},
	}, nil
}

func (f *upstreamFlags) tlsConfig(name string) (*tls.Config, error) {
	if f.UpstreamCA == "" && !f.UpstreamInsecure {
		return nil, nil
	}
	if !strings.HasPrefix(name, "https://") {
		return nil, &usageError{errors.New("--upstream-ca and --upstream-insecure are for an https target")}
	}
	if f.UpstreamInsecure {
		return &tls.Config{InsecureSkipVerify: true}, nil
	}
	content, err := os.ReadFile(f.UpstreamCA)
	if err != nil {
		if pathErr, ok := errors.AsType[*fs.PathError](err); ok {
			err = pathErr.Err
		}
		return nil, fmt.Errorf("read --upstream-ca %s: %w", f.UpstreamCA, err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(content) {
		return nil, fmt.Errorf("read --upstream-ca %s: there is no certificate in it, in PEM", f.UpstreamCA)
	}
	return &tls.Config{RootCAs: roots}, nil
}

// redacted returns a TARGET without the user and the password that it may have.
func redacted(name string) string {
	scheme, rest, ok := strings.Cut(name, "://")
	authority, _, _ := strings.Cut(rest, "/")
	if at := strings.LastIndexByte(authority, '@'); ok && at >= 0 {
		return scheme + "://xxxxx" + rest[at:]
	}
	return name
}
