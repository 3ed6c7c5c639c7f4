package server

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"

	"github.com/culvert-http/culvert/internal/reload"
)

// Authorities are the certificates that sign those of the other ends, from a file
// that is read again when it changes. A file that cannot be used leaves those
// before in use.
type Authorities struct {
	files   *reload.Files
	current atomic.Pointer[bundle]
}

// OpenAuthorities reads a bundle of certificates in PEM. Close ends the watch over
// the file. What goes wrong later is logged.
func OpenAuthorities(file string, logger *slog.Logger) (*Authorities, error) {
	a := &Authorities{}
	load := func(contents [][]byte) error {
		next := newBundle(contents[0], a.current.Load())
		if len(next.anchors) == 0 {
			return fmt.Errorf("read authorities %s: there is no certificate in it, in PEM", file)
		}
		next.endOthers(a.current.Swap(next))
		return nil
	}
	var err error
	if a.files, err = reload.Watch([]string{file}, load, logger); err != nil {
		return nil, err
	}
	return a, nil
}

// Current returns the authorities that new connections are verified with. They
// must not be changed.
func (a *Authorities) Current() *x509.CertPool { return a.current.Load().pool }

// Verifies reports whether a connection whose client was verified when it began
// still would be. The context is done when its authority is taken out of the file.
// It implements auth.Authorities.
func (a *Authorities) Verifies(state *tls.ConnectionState) (context.Context, bool) {
	one := a.current.Load().anchorOf(state)
	if one == nil {
		return nil, false
	}
	return one.valid, true
}

// Close ends the watch over the file. The authorities can still be used.
func (a *Authorities) Close() { a.files.Close() }

// VerifyClients has a listener ask its clients for certificates and verify those
// that they have. It lets clients without one connect: health stays open, and
// whoever needs a certificate is told so by an RPC error.
//
// A connection is verified when it begins; whether it still would be later says
// [Authorities.Verifies]. Sessions of TLS are not resumed, for they would be
// verified with the authorities of another time.
func (a *Authorities) VerifyClients(config *tls.Config) {
	config.ClientAuth = tls.VerifyClientCertIfGiven
	config.ClientCAs = a.Current()
	config.SessionTicketsDisabled = true
	base := config.Clone()
	base.NextProtos = alpn() // as the listener's own has them
	config.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) {
		current := base.Clone()
		current.ClientCAs = a.Current()
		return current, nil
	}
}

var errNoServerCertificate = errors.New("the server has shown no certificate")

// VerifyServer has a client verify its servers with the authorities, as they are
// at each handshake; with the system's if authorities is nil. Check looks at the
// name in a server's certificate; it must not be nil.
func VerifyServer(config *tls.Config, authorities *Authorities, check func(*x509.Certificate) error) {
	config.InsecureSkipVerify = true //nolint:gosec // VerifyConnection does it, with what the file has now
	config.VerifyConnection = func(state tls.ConnectionState) error {
		var roots *x509.CertPool
		if authorities != nil {
			roots = authorities.Current()
		}
		if err := verifyServer(state.PeerCertificates, roots, check); err != nil {
			return &tls.CertificateVerificationError{UnverifiedCertificates: state.PeerCertificates, Err: err}
		}
		return nil
	}
}

func verifyServer(chain []*x509.Certificate, roots *x509.CertPool, check func(*x509.Certificate) error) error {
	if len(chain) == 0 {
		return errNoServerCertificate
	}
	options := x509.VerifyOptions{Roots: roots, Intermediates: x509.NewCertPool()}
	for _, certificate := range chain[1:] {
		options.Intermediates.AddCert(certificate)
	}
	if _, err := chain[0].Verify(options); err != nil {
		return err
	}
	return check(chain[0])
}
