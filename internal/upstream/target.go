package upstream

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
)

// target is where an upstream listens and what it speaks.
type target struct {
	network   string // tcp or unix
	address   string // host:port, or a path
	authority string // for requests that have none
	host      string // for TLS
	tls       bool
	h2c       bool
}

func (t target) mayBeHTTP2() bool { return t.tls || t.h2c }

func (t target) scheme() string {
	if t.tls {
		return "https"
	}
	return "http"
}

func parseTarget(raw string) (target, error) {
	for _, socket := range []struct {
		prefix string
		h2c    bool
	}{{"unix:", false}, {"unix+h2c:", true}} {
		path, ok := strings.CutPrefix(raw, socket.prefix)
		if !ok {
			continue
		}
		path = strings.TrimPrefix(path, "//")
		if path == "" {
			return target{}, fmt.Errorf("parse upstream %q: path is empty", raw)
		}
		return target{network: "unix", address: path, authority: "localhost", h2c: socket.h2c}, nil
	}
	to, err := parseTCPTarget(raw)
	if err != nil {
		return target{}, fmt.Errorf("parse upstream %q: %w", raw, err)
	}
	return to, nil
}

func parseTCPTarget(raw string) (target, error) {
	u, err := url.Parse(raw)
	if err != nil {
		return target{}, errors.Unwrap(err)
	}
	to := target{network: "tcp", authority: u.Host, host: u.Hostname()}
	port := "80"
	switch u.Scheme {
	case "http":
	case "h2c":
		to.h2c = true
	case "https":
		to.tls, port = true, "443"
	default:
		return target{}, errors.New("scheme is none of http, https, h2c, unix, unix+h2c")
	}
	switch {
	case to.host == "":
		return target{}, errors.New("host is empty")
	case u.User != nil:
		return target{}, errors.New("user information is not supported")
	case u.Path != "" && u.Path != "/", u.RawQuery != "", u.ForceQuery, u.Fragment != "":
		return target{}, errors.New("path, query and fragment are not supported: requests keep their own")
	}
	if u.Port() != "" {
		port = u.Port()
	}
	to.address = net.JoinHostPort(to.host, port)
	return to, nil
}
