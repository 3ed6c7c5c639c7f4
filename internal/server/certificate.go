package server

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/culvert-http/culvert/internal/reload"
)

// Certificate is a certificate with its key, from files that are read again when
// they change: connections that are opened from then on get the new one. A pair
// that cannot be used leaves the one before in use.
type Certificate struct {
	files   *reload.Files
	current atomic.Pointer[tls.Certificate]
}

// OpenCertificate reads a certificate, with the chain that belongs to it, and its
// key, in PEM. Close ends the watch over the files. What goes wrong later is
// logged.
func OpenCertificate(certFile, keyFile string, logger *slog.Logger) (*Certificate, error) {
	c := &Certificate{}
	load := func(contents [][]byte) error {
		pair, err := tls.X509KeyPair(contents[0], contents[1])
		if err != nil {
			return fmt.Errorf("read certificate %s with key %s: %w", certFile, keyFile, err)
		}
		warnOfExpiry(&pair, logger)
		c.current.Store(&pair)
		return nil
	}
	var err error
	if c.files, err = reload.Watch([]string{certFile, keyFile}, load, logger); err != nil {
		return nil, err
	}
	return c, nil
}

// Current returns the certificate that new connections get.
func (c *Certificate) Current() *tls.Certificate { return c.current.Load() }

// Close ends the watch over the files. The certificate can still be used.
func (c *Certificate) Close() { c.files.Close() }

// warnOfExpiry says that clients will refuse the certificate, which they may do
// by their own clocks and so is no reason not to use it.
func warnOfExpiry(pair *tls.Certificate, logger *slog.Logger) {
	if leaf := pair.Leaf; leaf != nil && time.Now().After(leaf.NotAfter) {
		logger.Warn("the certificate has expired", "notAfter", leaf.NotAfter.Format(time.RFC3339))
	}
}

// TLSConfig returns the configuration of a listener that serves the certificate,
// from TLS 1.2 on. What the protocols of HTTP need, [Server] adds.
func (c *Certificate) TLSConfig() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			return c.current.Load(), nil
		},
	}
}
