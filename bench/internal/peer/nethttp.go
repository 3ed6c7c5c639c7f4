package peer

import (
	"net/http"
	"net/http/httputil"
	"net/url"
)

// maxConcurrency is how many connections of HTTP/1.1 clients keep, so that none
// is opened anew while it is measured.
const maxConcurrency = 1 << 10

// newHTTP1Transport returns a client for HTTP/1.1 that keeps its connections.
func newHTTP1Transport(closers *closers) *http.Transport {
	transport := &http.Transport{
		Protocols:           new(http.Protocols),
		MaxIdleConns:        maxConcurrency,
		MaxIdleConnsPerHost: maxConcurrency,
		DisableCompression:  true,
	}
	transport.Protocols.SetHTTP1(true)
	closers.add(func() error { transport.CloseIdleConnections(); return nil })
	return transport
}

// newH2CTransport returns a client for h2c with net/http's defaults.
func newH2CTransport(closers *closers) *http.Transport {
	transport := &http.Transport{Protocols: new(http.Protocols), DisableCompression: true}
	transport.Protocols.SetUnencryptedHTTP2(true)
	closers.add(func() error { transport.CloseIdleConnections(); return nil })
	return transport
}

func openHTTP1(app http.Handler, closers *closers) (route, error) {
	address, err := serveHTTP(app, closers)
	if err != nil {
		return nil, err
	}
	return httpRoute{"http://" + address, newHTTP1Transport(closers)}, nil
}

func openH2C(app http.Handler, closers *closers) (route, error) {
	address, err := serveHTTP(app, closers)
	if err != nil {
		return nil, err
	}
	return httpRoute{"http://" + address, newH2CTransport(closers)}, nil
}

func openReverseProxy(app http.Handler, closers *closers) (route, error) {
	address, err := serveHTTP(app, closers)
	if err != nil {
		return nil, err
	}
	target := &url.URL{Scheme: "http", Host: address}
	return openFront(&httputil.ReverseProxy{
		Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(target) },
		Transport: newHTTP1Transport(closers),
	}, closers)
}

// openFront has clients of HTTP/1.1 come by a handler.
func openFront(handler http.Handler, closers *closers) (route, error) {
	address, err := serveHTTP(handler, closers)
	if err != nil {
		return nil, err
	}
	return httpRoute{"http://" + address, newHTTP1Transport(closers)}, nil
}
