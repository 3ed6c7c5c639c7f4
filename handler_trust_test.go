package culvert_test

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"connectrpc.com/connect"

	"github.com/culvert-http/culvert"
	culvertv1 "github.com/culvert-http/culvert/api/culvert/v1"
	"github.com/culvert-http/culvert/api/culvert/v1/culvertv1connect"
)

// Section 12: what the client of an RPC says of others is believed of some.
func TestHandlerForwarded(t *testing.T) {
	for _, row := range []struct {
		name    string
		opts    []culvert.HandlerOption
		trusted bool
	}{
		{"nobody is trusted", nil, false},
		{"others are trusted", []culvert.HandlerOption{culvert.WithTrustedNetworks(netip.MustParsePrefix("10.0.0.0/8"))}, false},
		{"the peer is trusted", []culvert.HandlerOption{culvert.WithTrustedNetworks(netip.MustParsePrefix("127.0.0.0/8"))}, true},
	} {
		t.Run(row.name, func(t *testing.T) {
			var got *http.Request
			mux := http.NewServeMux()
			mux.Handle(culvert.NewHandler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				_, _ = r.Body.Read(make([]byte, 1)) // so that the trailers are there
				got = r
			}), row.opts...))
			client := culvertv1connect.NewHTTPServiceClient(http.DefaultClient, "http://"+startServer(t, mux))
			fields := []*culvertv1.Field{
				{Name: "x-forwarded-for", Value: "1.2.3.4"},
				{Name: "X_Forwarded_For", Value: "1.2.3.4"},
				{Name: "X-FORWARDED-Proto", Value: "https"},
				{Name: "forwarded", Value: "for=1.2.3.4"},
				{Name: "X-Real-IP", Value: "1.2.3.4"},
				{Name: "x-real_ip", Value: "1.2.3.4"},
				{Name: "X-Forward", Value: "kept"},
			}
			if _, err := client.Call(t.Context(), connect.NewRequest(&culvertv1.HTTPRequest{
				Method: "POST", ClientAddress: "1.2.3.4:5", Headers: fields, Trailers: fields,
			})); err != nil {
				t.Fatal(err)
			}
			for place, header := range map[string]http.Header{"head": got.Header, "trailers": got.Trailer} {
				var names []string
				for name := range header {
					if strings.HasPrefix(name, "X") || strings.HasPrefix(name, "F") {
						names = append(names, name)
					}
				}
				// Nobody is believed who writes an underscore for a hyphen.
				if len(names) != map[bool]int{false: 1, true: len(fields) - 2}[row.trusted] || !slices.Contains(names, "X-Forward") {
					t.Errorf("%s: %v got through", place, names)
				}
			}
			if believed := got.RemoteAddr == "1.2.3.4:5"; believed != row.trusted {
				t.Errorf("RemoteAddr is %s", got.RemoteAddr)
			}
		})
	}
}

// Section 7: a protocol that is not in the list is not upgraded to.
func TestHandlerUpgrades(t *testing.T) {
	for protocol, want := range map[string]bool{"websocket": true, "WebSocket": true, "h2c": false, "other": false} {
		var upgrade []string
		mux := http.NewServeMux()
		mux.Handle(culvert.NewHandler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { upgrade = r.Header["Upgrade"] })))
		transport := newRigTransport(t, "http://"+startServer(t, mux), culvert.WithMethod(culvert.MethodExchange))
		request := newRigRequest(t, http.MethodGet, "/", nil)
		request.Header.Set("Connection", "Upgrade")
		request.Header.Set("Upgrade", protocol)
		response, err := transport.RoundTrip(request)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		if got := len(upgrade) > 0; got != want {
			t.Errorf("%s: the application saw %q", protocol, upgrade)
		}
	}
}
