package main

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"

	"github.com/culvert-http/culvert"
)

// transportFlags say how a command reaches the server that it is a client of.
type transportFlags struct {
	Protocol   culvert.Protocol `default:"grpc" help:"RPC protocol: grpc, grpc-web or connect." placeholder:"NAME" group:"Tunnel"`
	Method     culvert.Method   `default:"auto" help:"RPC method: session, exchange, download, upload or call; auto takes session over HTTP/2 if the server recommends it, else exchange, and what works over HTTP/1.1." placeholder:"NAME" group:"Tunnel"`
	RPCHeader  []string         `name:"rpc-header" sep:"none" help:"Field of the RPC, not of the request in it: credentials for the tunnel. Can be repeated." placeholder:"'NAME: VALUE'" group:"Tunnel"`
	CA         string           `name:"ca" help:"File of the certificates that sign the server's, in PEM, in place of the system's. This file, --cert, --key and --token-file are read again when they change." placeholder:"FILE" group:"Tunnel"`
	Cert       string           `help:"File of the client's certificate and its chain, in PEM. Needs --key." placeholder:"FILE" group:"Tunnel"`
	Key        string           `help:"File of that certificate's key, in PEM." placeholder:"FILE" group:"Tunnel"`
	ServerName string           `help:"Name that the server's certificate must have in place of the server's host: DNS name, or URI such as spiffe://DOMAIN/PATH." placeholder:"NAME" group:"Tunnel"`
	TokenFile  string           `help:"File of the bearer token for the tunnel; $$CULVERT_TOKEN can have the token itself." placeholder:"FILE" group:"Tunnel"`
	Insecure   bool             `short:"k" help:"Do not verify the server's certificate." group:"Tunnel"`
}

func (f *transportFlags) validate() error {
	switch {
	case (f.Cert == "") != (f.Key == ""):
		return errors.New("--cert and --key need each other")
	case f.Insecure && (f.CA != "" || f.ServerName != ""):
		return errors.New("--insecure leaves nothing to --ca and --server-name")
	}
	_, err := f.rpcHeader()
	return err
}

// open returns a transport to the server at url, and what releases it. It does
// not connect. What goes wrong with the files of the flags later is logged.
func (f *transportFlags) open(url string, logger *slog.Logger, more ...culvert.TransportOption) (*culvert.Transport, func(), error) {
	shown := &credentials{}
	transport, err := f.openWith(shown, url, logger, more)
	if err != nil {
		shown.close()
		return nil, nil, err
	}
	return transport, func() {
		_ = transport.Close()
		shown.close()
	}, nil
}

func (f *transportFlags) openWith(shown *credentials, url string, logger *slog.Logger, more []culvert.TransportOption) (*culvert.Transport, error) {
	config, err := shown.tlsConfig(f, url, logger)
	if err != nil {
		return nil, err
	}
	if err := shown.openToken(f.TokenFile, logger); err != nil {
		return nil, err
	}
	header, err := f.rpcHeader()
	if err != nil {
		return nil, &usageError{err}
	}
	options := []culvert.TransportOption{
		culvert.WithProtocol(f.Protocol),
		culvert.WithMethod(f.Method),
		culvert.WithTLSConfig(config),
		culvert.WithHTTPHeader(header),
	}
	if shown.hasToken() {
		options = append(options, culvert.WithToken(func() string { return *shown.token.Load() }))
		if inTheClear(url) {
			logger.Warn("the token can be read on its way to the server: use https", "server", url)
		}
	}
	transport, err := culvert.NewTransport(url, append(options, more...)...)
	if err != nil {
		return nil, &usageError{err}
	}
	return transport, nil
}

func (f *transportFlags) rpcHeader() (http.Header, error) {
	header := make(http.Header)
	for _, line := range f.RPCHeader {
		name, value, ok := strings.Cut(line, ":")
		if !ok || name == "" {
			return nil, fmt.Errorf("--rpc-header: %q is not 'NAME: VALUE'", line)
		}
		header.Add(name, strings.TrimSpace(value))
	}
	return header, nil
}

// serverURL completes what people leave out of a URL.
func serverURL(arg string) string {
	if strings.Contains(arg, "://") {
		return arg
	}
	return "http://" + arg
}
