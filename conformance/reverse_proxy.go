package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
)

// reverseProxy is the control: httputil.ReverseProxy in the tunnel's place.
type reverseProxy struct {
	listener  net.Listener
	server    *http.Server
	transport *http.Transport
	served    chan error
}

func openReverseProxy(to upstream, creds *credentials) (passage, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("open reverse proxy: %w", err)
	}
	p := &reverseProxy{
		listener:  listener,
		transport: newPlainTransport(to.http2),
		served:    make(chan error, 1),
	}
	logger := slog.NewLogLogger(slog.DiscardHandler, slog.LevelWarn)
	target := &url.URL{Scheme: "http", Host: to.addr}
	p.server = &http.Server{
		Handler: &httputil.ReverseProxy{
			Rewrite:       func(r *httputil.ProxyRequest) { r.SetURL(target) },
			Transport:     p.transport,
			FlushInterval: -1,
			ErrorLog:      logger,
		},
		Protocols: new(http.Protocols),
		ErrorLog:  logger,
	}
	p.server.Protocols.SetHTTP1(true)
	if creds == nil {
		p.server.Protocols.SetUnencryptedHTTP2(true)
		go func() { p.served <- p.server.Serve(listener) }()
		return p, nil
	}
	cert, err := tls.X509KeyPair(creds.cert, creds.key)
	if err != nil {
		_ = listener.Close()
		return nil, fmt.Errorf("open reverse proxy: %w", err)
	}
	p.server.Protocols.SetHTTP2(true)
	p.server.TLSConfig = &tls.Config{Certificates: []tls.Certificate{cert}}
	go func() { p.served <- p.server.ServeTLS(listener, "", "") }()
	return p, nil
}

func newPlainTransport(http2 bool) *http.Transport {
	t := &http.Transport{
		Protocols: new(http.Protocols),
		// Else it asks for gzip in the client's place.
		DisableCompression: true,
	}
	t.Protocols.SetHTTP1(!http2)
	t.Protocols.SetUnencryptedHTTP2(http2)
	return t
}

func (p *reverseProxy) address() *net.TCPAddr { return p.listener.Addr().(*net.TCPAddr) }

func (p *reverseProxy) stop() *report {
	r := new(report)
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	// Exchanges that hang are what the control is there to show.
	if err := p.server.Shutdown(ctx); err != nil {
		_ = p.server.Close()
	}
	p.transport.CloseIdleConnections()
	if err := <-p.served; !errors.Is(err, http.ErrServerClosed) {
		r.fault(fmt.Errorf("stop reverse proxy: %w", err))
	}
	return r
}
