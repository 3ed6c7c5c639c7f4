package main

import (
	"context"
	"net"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/culvert-http/culvert/internal/accesslog"
	"github.com/culvert-http/culvert/internal/server"
)

// awaitSignal takes the signals that end the program from now on. The first
// drains, a second ends at once.
func awaitSignal() (signals <-chan os.Signal, stop func()) {
	received := make(chan os.Signal, 2)
	signal.Notify(received, os.Interrupt, syscall.SIGTERM)
	return received, func() { signal.Stop(received) }
}

// serveUntil serves on listener until a signal, or until lost is closed, and then
// drains for at most grace. Exchanges that are cut off then are no failure: whoever
// sent the signal chose the time.
func serveUntil(signals <-chan os.Signal, lost <-chan struct{}, srv *server.Server, listener net.Listener, grace time.Duration, log *accesslog.Log) error {
	served := make(chan error, 1)
	go func() { served <- srv.Serve(listener) }()
	select {
	case err := <-served:
		return err
	case <-lost:
		log.Info("draining", "grace", grace.String())
	case got := <-signals:
		log.Info("draining", "signal", got.String(), "grace", grace.String())
	}
	ctx, cancel := context.WithTimeout(context.Background(), grace)
	defer cancel()
	drained := make(chan error, 1)
	go func() { drained <- srv.Shutdown(ctx) }()
	select {
	case err := <-drained:
		if err != nil {
			log.Warn("cut off what had not finished", "grace", grace.String())
		}
	case got := <-signals:
		log.Warn("ended at once", "signal", got.String())
		_ = srv.Close()
		cancel()
		log.Debug("drained", "err", <-drained)
	}
	log.Info("stopped")
	return <-served
}
