package oracle

import (
	"context"
	"errors"
	"io"
	"log" //nolint:depguard // net/http's servers take no other logger
	"log/slog"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/culvert-http/culvert"
	"github.com/culvert-http/culvert/internal/upstream"
)

// Rig is the two servers that a table runs against: the handlers of the rows
// behind net/http, and behind the tunnel. It carries one exchange at a time.
type Rig struct {
	// Direct is the address of the server that has the handlers themselves.
	Direct string
	// Tunnel is the address of the server that has them behind the tunnel. Both
	// speak HTTP/1.1 and h2c.
	Tunnel string

	recorder *recorder
	version  *Version // of the proxy's requests to Direct; nil without a proxy
}

// NewRig starts the servers of a rig, which run until the test is over.
func NewRig(tb testing.TB) *Rig {
	tb.Helper()
	rig := &Rig{recorder: &recorder{}}
	rig.Direct = Serve(tb, rig.recorder)
	rig.tunnelTo(tb, rig.recorder)
	return rig
}

// proxyVia is how the proxy of a rig names itself in Via.
const proxyVia = "oracle-proxy"

// NewProxyRig is NewRig with a proxy at the end of the tunnel, which asks Direct
// in HTTP/1.1 or HTTP/2. Only that version's exchanges can be compared.
func NewProxyRig(tb testing.TB, version Version) *Rig {
	tb.Helper()
	rig := &Rig{recorder: &recorder{repeats: true}, version: &version}
	rig.Direct = Serve(tb, rig.recorder)
	scheme := "http"
	if version == HTTP2 {
		scheme = "h2c"
	}
	proxy, err := upstream.New(scheme+"://"+rig.Direct, upstream.Options{Via: proxyVia, ExpectContinueTimeout: continueTime})
	if err != nil {
		tb.Fatalf("make a proxy: %v", err)
	}
	tb.Cleanup(proxy.Close)
	rig.tunnelTo(tb, proxy)
	return rig
}

// continueTime is longer than a handler takes to ask for a body.
const continueTime = time.Minute

func (r *Rig) tunnelTo(tb testing.TB, handler http.Handler) {
	tb.Helper()
	mux := http.NewServeMux()
	mux.Handle(culvert.NewHandler(handler, culvert.WithLogger(slog.New(slog.DiscardHandler))))
	r.Tunnel = Serve(tb, mux)
}

// carries reports whether a request in a version reaches the recorder in it.
func (r *Rig) carries(version Version) (bool, string) {
	if r.version != nil && *r.version != version {
		return false, "the proxy asks in another version of HTTP"
	}
	return true, ""
}

// Windows that take the largest body of the table whole, so that a client
// without flow control of its own can send it.
const (
	streamWindow = 4 << 20
	connWindow   = 64 << 20
)

// discard keeps what net/http says of panics and of superfluous calls to itself.
var discard = log.New(io.Discard, "", 0)

// Serve runs a server for HTTP/1 and h2c until the test is over, and returns its
// address.
func Serve(tb testing.TB, handler http.Handler) string {
	tb.Helper()
	var listen net.ListenConfig
	listener, err := listen.Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatalf("listen: %v", err)
	}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	server := &http.Server{
		Handler:                      handler,
		Protocols:                    protocols,
		DisableGeneralOptionsHandler: true, // OPTIONS * is for the handler
		ErrorLog:                     discard,
		HTTP2: &http.HTTP2Config{
			MaxReceiveBufferPerStream:     streamWindow,
			MaxReceiveBufferPerConnection: connWindow,
		},
	}
	stopped := make(chan error, 1)
	go func() { stopped <- server.Serve(listener) }()
	tb.Cleanup(func() {
		_ = server.Close()
		if err := <-stopped; !errors.Is(err, http.ErrServerClosed) {
			tb.Errorf("serve: %v", err)
		}
	})
	return listener.Addr().String()
}
