// Command mount is a server that exists already, with middleware of its own, and
// that has gained the tunnel. README.md says which middleware sees what.
package main

import (
	"context"
	"errors"
	"flag"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/time/rate"
)

func main() {
	address := flag.String("listen", "localhost:8080", "the `address` to listen on")
	token := flag.String("token", "let-me-in", "what RPCs have to bear")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, *address, newHandler(config{
		log:      slog.Default(),
		token:    *token,
		users:    map[string]string{"ann": "secret"},
		rpcs:     rate.NewLimiter(100, 100),
		requests: rate.NewLimiter(100, 100),
	}))
	stop()
	if err != nil {
		slog.Error("mount", "error", err)
		os.Exit(1)
	}
}

// run serves until ctx is done. examples/api shows how exchanges are let finish.
func run(ctx context.Context, address string, handler http.Handler) error {
	var listen net.ListenConfig
	listener, err := listen.Listen(ctx, "tcp", address)
	if err != nil {
		return err
	}
	slog.Info("listening", "url", "http://"+listener.Addr().String())
	server := newServer(handler)
	stopped := make(chan error, 1)
	context.AfterFunc(ctx, func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		stopped <- server.Shutdown(ctx)
	})
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return <-stopped
}
