package peer

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/culvert-http/culvert"
)

// serveHTTP serves a handler as net/http does by default, on HTTP/1.1 and h2c,
// and returns its address.
func serveHTTP(handler http.Handler, closers *closers) (string, error) {
	return serve(&http.Server{Handler: handler}, nil, closers)
}

// serveCulvert serves a handler behind the tunnel, on a server as the README has
// it.
func serveCulvert(inner http.Handler, closers *closers) (string, error) {
	mux := http.NewServeMux()
	mux.Handle(culvert.NewHandler(inner))
	return serve(&http.Server{Handler: mux, HTTP2: &http.HTTP2Config{
		MaxReceiveBufferPerStream:     culvert.DefaultStreamWindow,
		MaxReceiveBufferPerConnection: culvert.DefaultConnWindow,
	}}, culvert.Guard, closers)
}

// serve serves on a listener that guard has returned, if it is not nil.
func serve(server *http.Server, guard func(*http.Server, net.Listener) net.Listener, closers *closers) (string, error) {
	listener, err := listen()
	if err != nil {
		return "", err
	}
	server.Protocols = new(http.Protocols)
	server.Protocols.SetHTTP1(true)
	server.Protocols.SetUnencryptedHTTP2(true)
	server.ReadHeaderTimeout = time.Minute
	address := listener.Addr().String()
	if guard != nil {
		listener = guard(server, listener)
	}
	server.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	closers.add(func() error {
		err := server.Close()
		if ended := <-served; !errors.Is(ended, http.ErrServerClosed) {
			err = errors.Join(err, ended)
		}
		return err
	})
	return address, nil
}

func listen() (net.Listener, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	return listener, nil
}
