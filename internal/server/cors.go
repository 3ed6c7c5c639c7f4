package server

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"

	connectcors "connectrpc.com/cors"
	"github.com/rs/cors"
)

// corsMaxAge is how many seconds browsers keep the answer to a preflight: no
// browser keeps it longer.
const corsMaxAge = 2 * 60 * 60

// AnyOrigin among the origins of [CORS] lets every web page in.
const AnyOrigin = "*"

// CORS lets web pages of other origins use the RPCs, on gRPC-Web and Connect. The
// zero value lets none in.
type CORS struct {
	// Origins are the origins of the pages, as browsers send them, such as
	// https://app.example. [AnyOrigin] stands for all.
	Origins []string
	// Headers are fields that pages may send beside those of the protocols, such
	// as Authorization.
	Headers []string
	// Credentials lets pages send cookies and client certificates. It cannot be
	// used with [AnyOrigin].
	Credentials bool
}

// Validate reports what is wrong with the configuration.
func (c *CORS) Validate() error {
	for _, origin := range c.Origins {
		if _, err := normalOrigin(origin); err != nil {
			return err
		}
	}
	if c.Credentials && slices.Contains(c.Origins, AnyOrigin) {
		return errors.New("credentials are for origins that are named, not for *")
	}
	if c.Credentials && len(c.Origins) == 0 {
		return errors.New("credentials are of no use without an origin")
	}
	return nil
}

// handler answers preflights, and adds to other responses what has browsers show
// them to pages. It is no barrier to requests without a preflight: handlerForOrigins
// is, and the protocols are, in that they refuse the media types of such requests.
func (c *CORS) handler(next http.Handler) http.Handler {
	if len(c.Origins) == 0 {
		return next
	}
	origins := make([]string, len(c.Origins))
	for i, origin := range c.Origins {
		origins[i], _ = normalOrigin(origin)
	}
	return cors.New(cors.Options{
		AllowedOrigins:   origins,
		AllowedMethods:   []string{http.MethodPost},
		AllowedHeaders:   append(connectcors.AllowedHeaders(), c.Headers...),
		ExposedHeaders:   connectcors.ExposedHeaders(),
		AllowCredentials: c.Credentials,
		MaxAge:           corsMaxAge,
	}).Handler(next)
}

// normalOrigin returns an origin as browsers write it: in lower case, and without
// the port that its scheme has anyway.
func normalOrigin(origin string) (string, error) {
	if origin == AnyOrigin {
		return origin, nil
	}
	u, err := url.Parse(origin)
	if err != nil || u.Hostname() == "" || strings.Contains(origin, "*") ||
		*u != (url.URL{Scheme: u.Scheme, Host: u.Host}) {
		return "", fmt.Errorf("%q is not an origin, such as https://app.example or http://localhost:5173", origin)
	}
	host := strings.ToLower(u.Host)
	if name, port, err := net.SplitHostPort(host); err == nil && port == defaultPorts[u.Scheme] {
		host = name
		if strings.Contains(name, ":") {
			host = "[" + name + "]"
		}
	}
	return u.Scheme + "://" + host, nil
}

var defaultPorts = map[string]string{"http": "80", "https": "443"}
