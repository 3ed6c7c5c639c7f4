// Command api serves a protobuf API of its own, an application through the tunnel,
// health checks and reflection, all on one mux and one port. README.md is the tour.
package main

import (
	"context"
	"flag"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	address := flag.String("listen", "localhost:8080", "the `address` to listen on")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, *address)
	stop()
	if err != nil {
		slog.Error("api", "error", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, address string) error {
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", address)
	if err != nil {
		return err
	}
	slog.Info("listening", "url", "http://"+listener.Addr().String())
	return newServer().serve(ctx, listener)
}
