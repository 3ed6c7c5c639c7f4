package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"syscall"

	"github.com/coreos/go-systemd/v22/activation"
)

// listenFlags say where a server listens.
type listenFlags struct {
	Listen    listenAddress `default:"${listen}" help:"Address to listen on; port 0 takes a free one. A socket that systemd has opened comes first."`
	ReusePort bool          `help:"Let another process listen on the same address, so that a successor can start before this one drains."`
}

// inherit takes the listener that systemd hands over, nil if it does not. It comes
// before anything else: no other process may have it.
func (f *listenFlags) inherit() (net.Listener, error) {
	inherited, err := activation.Listeners()
	if err != nil {
		return nil, fmt.Errorf("take the socket from systemd: %w", err)
	}
	if len(inherited) > 1 {
		return nil, fmt.Errorf("take the socket from systemd: there are %d, and this program listens on one", len(inherited))
	}
	if len(inherited) == 0 || inherited[0] == nil {
		return nil, nil
	}
	f.ReusePort = true // systemd goes on listening, for a successor
	return inherited[0], nil
}

// open returns the listener that was inherited, or opens one.
func (f *listenFlags) open(inherited net.Listener) (net.Listener, error) {
	if inherited != nil {
		return inherited, nil
	}
	config := net.ListenConfig{}
	if f.ReusePort {
		config.Control = reusePort
	}
	return f.Listen.open(config)
}

// listenAddress is HOST:PORT. An empty host means every address of the machine.
type listenAddress string

// UnmarshalText implements encoding.TextUnmarshaler.
func (a *listenAddress) UnmarshalText(text []byte) error {
	_, port, err := net.SplitHostPort(string(text))
	if err != nil {
		return fmt.Errorf("%q is not HOST:PORT, such as 127.0.0.1:8080", text)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil {
		return fmt.Errorf("%q has no port from 0 to 65535", text)
	} else if n == 0 && port != "0" {
		return fmt.Errorf("%q has no port from 0 to 65535", text)
	}
	*a = listenAddress(text)
	return nil
}

// open opens the listener, and says what to do about the failures that happen to
// everybody.
func (a listenAddress) open(config net.ListenConfig) (net.Listener, error) {
	listener, err := config.Listen(context.Background(), "tcp", string(a))
	switch {
	case err == nil:
		return listener, nil
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("listen on %s: the address is in use; "+
			"stop what listens there, or choose another with --listen (port 0 takes a free one)", a)
	case errors.Is(err, syscall.EACCES):
		return nil, fmt.Errorf("listen on %s: permission denied; "+
			"choose a port from 1024 on with --listen", a)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return nil, fmt.Errorf("listen on %s: this machine has no such address; "+
			"choose another with --listen (127.0.0.1 for this machine alone)", a)
	}
	if opErr := (*net.OpError)(nil); errors.As(err, &opErr) {
		err = opErr.Err
	}
	return nil, fmt.Errorf("listen on %s: %w", a, err)
}
