package main

import (
	"errors"

	"github.com/culvert-http/culvert/internal/accesslog"
	"github.com/culvert-http/culvert/internal/server"
)

// tlsFlags secure the listener.
type tlsFlags struct {
	TLSCert string `name:"tls-cert" help:"File of the server's certificate and its chain, in PEM. With --tls-key it turns TLS on; both are read again when they change." placeholder:"FILE" group:"TLS"`
	TLSKey  string `name:"tls-key" help:"File of the certificate's key, in PEM." placeholder:"FILE" group:"TLS"`
}

func (f *tlsFlags) validate() error {
	if (f.TLSCert == "") != (f.TLSKey == "") {
		return errors.New("--tls-cert and --tls-key need each other")
	}
	return nil
}

// openCertificate returns the certificate of the listener, nil without TLS.
func (f *tlsFlags) openCertificate(log *accesslog.Log) (*server.Certificate, error) {
	if f.TLSCert == "" {
		return nil, nil
	}
	return server.OpenCertificate(f.TLSCert, f.TLSKey, log.Logger)
}
