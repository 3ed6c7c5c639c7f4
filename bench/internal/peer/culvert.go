package peer

import (
	"net/http"

	"github.com/culvert-http/culvert"
)

// throughCulvert returns what opens a path through a transport with the options.
func throughCulvert(opts ...culvert.TransportOption) func(http.Handler, *closers) (route, error) {
	return func(app http.Handler, closers *closers) (route, error) {
		transport, err := newTransport(app, closers, opts...)
		if err != nil {
			return nil, err
		}
		return httpRoute{"http://app.example", transport}, nil
	}
}

func newTransport(app http.Handler, closers *closers, opts ...culvert.TransportOption) (*culvert.Transport, error) {
	address, err := serveCulvert(app, closers)
	if err != nil {
		return nil, err
	}
	transport, err := culvert.NewTransport("http://"+address, opts...)
	if err != nil {
		return nil, err
	}
	closers.add(transport.Close)
	return transport, nil
}

func openGateway(app http.Handler, closers *closers) (route, error) {
	transport, err := newTransport(app, closers)
	if err != nil {
		return nil, err
	}
	return openFront(culvert.NewGateway(transport), closers)
}
