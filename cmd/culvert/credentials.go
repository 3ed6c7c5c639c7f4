package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"strings"
	"sync/atomic"

	"golang.org/x/net/http/httpguts"

	"github.com/culvert-http/culvert/internal/peername"
	"github.com/culvert-http/culvert/internal/reload"
	"github.com/culvert-http/culvert/internal/server"
)

// tokenVariable has the token itself: unlike an argument, nobody else on the
// machine sees it.
const tokenVariable = "CULVERT_TOKEN"

// credentials are what a client shows, and what it verifies its server with, from
// files that are read again when they change.
type credentials struct {
	token   atomic.Pointer[string]
	closers []func()
}

func (c *credentials) close() {
	for _, closer := range c.closers {
		closer()
	}
}

// openToken reads the token of --token-file, or of the environment.
func (c *credentials) openToken(file string, logger *slog.Logger) error {
	if file == "" {
		token, err := parseToken([]byte(os.Getenv(tokenVariable)))
		if err != nil {
			return &usageError{fmt.Errorf("$%s: %w", tokenVariable, err)}
		}
		c.token.Store(&token)
		return nil
	}
	load := func(contents [][]byte) error {
		token, err := parseToken(contents[0])
		if err == nil && token == "" {
			err = errors.New("there is no token in it")
		}
		if err != nil {
			return fmt.Errorf("read token %s: %w", file, err)
		}
		c.token.Store(&token)
		return nil
	}
	files, err := reload.Watch([]string{file}, load, logger)
	if err != nil {
		return err
	}
	c.closers = append(c.closers, files.Close)
	return nil
}

// parseToken returns what a token is without the white space around it. The error
// does not show it.
func parseToken(content []byte) (string, error) {
	token := strings.TrimSpace(string(content))
	if len(token) > 32<<10 || strings.ContainsAny(token, " \t\r\n") || !httpguts.ValidHeaderFieldValue(token) {
		return "", errors.New("that is not one token")
	}
	return token, nil
}

// hasToken reports whether there is a token to show.
func (c *credentials) hasToken() bool { return *c.token.Load() != "" }

// tlsConfig reads the files of the flags for a connection to the server at url.
func (c *credentials) tlsConfig(f *transportFlags, serverURL string, logger *slog.Logger) (*tls.Config, error) {
	config := &tls.Config{
		MinVersion:         tls.VersionTLS12,
		InsecureSkipVerify: f.Insecure, //nolint:gosec // asked for by a flag of that name
	}
	if f.CA != "" || f.ServerName != "" {
		if err := c.verifyServer(config, f, serverURL, logger); err != nil {
			return nil, err
		}
	}
	if f.Cert != "" {
		certificate, err := server.OpenCertificate(f.Cert, f.Key, logger)
		if err != nil {
			return nil, err
		}
		c.closers = append(c.closers, certificate.Close)
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			return certificate.Current(), nil
		}
	}
	return config, nil
}

func (c *credentials) verifyServer(config *tls.Config, f *transportFlags, serverURL string, logger *slog.Logger) error {
	var authorities *server.Authorities
	if f.CA != "" {
		var err error
		if authorities, err = server.OpenAuthorities(f.CA, logger); err != nil {
			return err
		}
		c.closers = append(c.closers, authorities.Close)
	}
	if strings.Contains(f.ServerName, "://") {
		names, err := peername.Parse([]string{f.ServerName})
		if err != nil {
			return &usageError{fmt.Errorf("--server-name: %w", err)}
		}
		server.VerifyServer(config, authorities, func(leaf *x509.Certificate) error {
			if !names.Match(leaf) {
				return fmt.Errorf("certificate is for %s, not for %s", peername.NameOf(leaf), f.ServerName)
			}
			return nil
		})
		return nil
	}
	name := f.ServerName
	if name == "" {
		u, err := url.Parse(serverURL)
		if err != nil {
			return &usageError{err}
		}
		name = u.Hostname()
	}
	config.ServerName = name
	server.VerifyServer(config, authorities, func(leaf *x509.Certificate) error { return leaf.VerifyHostname(name) })
	return nil
}

// inTheClear reports whether what is sent to the server at url can be read on the
// way to another machine.
func inTheClear(serverURL string) bool {
	u, err := url.Parse(serverURL)
	if err != nil || u.Scheme != "http" || u.Hostname() == "localhost" {
		return false
	}
	ip := net.ParseIP(u.Hostname())
	return ip == nil || !ip.IsLoopback()
}
