package upstream

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"net/http/httptest"
	"testing"

	culvertv1 "github.com/culvert-http/culvert/api/culvert/v1"
	"github.com/culvert-http/culvert/internal/bridge"
)

func TestForwarded(t *testing.T) {
	for _, c := range []struct {
		name, remote, host string
		tls                bool
		header, want       http.Header
	}{
		{
			name: "nothing before", remote: "192.0.2.1:5", host: "a",
			want: http.Header{
				"X-Forwarded-For": {"192.0.2.1"}, "X-Forwarded-Proto": {"http"}, "X-Forwarded-Host": {"a"},
				"Forwarded": {`for=192.0.2.1;host="a";proto=http`},
			},
		}, {
			name: "IPv6 and TLS", remote: "[2001:db8::1%eth0]:5", host: "[::1]:8", tls: true,
			want: http.Header{
				"X-Forwarded-For": {"2001:db8::1%eth0"}, "X-Forwarded-Proto": {"https"}, "X-Forwarded-Host": {"[::1]:8"},
				"Forwarded": {`for="[2001:db8::1]";host="[::1]:8";proto=https`},
			},
		}, {
			name: "trusted proxies before", remote: "192.0.2.1:5", host: "b",
			header: http.Header{
				"X-Forwarded-For": {"198.51.100.1", "198.51.100.2"}, "X-Forwarded-Proto": {"https"}, "X-Forwarded-Host": {"a"},
				"Forwarded": {"for=198.51.100.1;proto=https"},
			},
			want: http.Header{
				"X-Forwarded-For":   {"198.51.100.1, 198.51.100.2, 192.0.2.1"},
				"X-Forwarded-Proto": {"https"}, "X-Forwarded-Host": {"a"},
				"Forwarded": {`for=198.51.100.1;proto=https, for=192.0.2.1;host="b";proto=http`},
			},
		}, {
			name: "unix socket", remote: "@", host: `a"b`,
			want: http.Header{
				"X-Forwarded-Proto": {"http"}, "X-Forwarded-Host": {`a"b`},
				"Forwarded": {`for=unknown;host="a\"b";proto=http`},
			},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodGet, "/", nil)
			r.RemoteAddr, r.Host = c.remote, c.host
			if c.tls {
				r.TLS = &tls.ConnectionState{}
			}
			header := c.header.Clone()
			if header == nil {
				header = http.Header{}
			}
			addForwarded(header, r)
			for name := range c.want {
				if got, want := header[name], c.want[name]; len(got) != 1 || got[0] != want[0] {
					t.Errorf("%s: %q, want %q", name, got, want)
				}
			}
			if len(header) != len(c.want) {
				t.Errorf("header %q", header)
			}
		})
	}
}

func TestForwardedOptions(t *testing.T) {
	seen := make(chan *http.Request, 1)
	target, options := startUpstream(t, "http", http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { seen <- r.Clone(context.Background()) }))
	options.OmitForwarded, options.Via, options.Host = true, "me", "app.internal"
	f := startFront(t, target, options)
	r := newRequest(t, "GET", f.url("/"), nil)
	r.Header["Via"] = []string{"1.0 first", "1.1 second"}
	f.do(t, "h2", r)
	got := <-seen
	for name := range got.Header {
		if name != "Via" && name != "User-Agent" {
			t.Errorf("field %s was added", name)
		}
	}
	if via := got.Header["Via"]; len(via) != 1 || via[0] != "1.0 first, 1.1 second, 2.0 me" {
		t.Errorf("via %q", via)
	}
	if got.Host != "app.internal" {
		t.Errorf("host %q", got.Host)
	}
}

// The certificate of the RPC's peer goes along if it was verified; that of a
// proxy that is believed is not the client's.
func TestForwardedClientCertificate(t *testing.T) {
	leaf := &x509.Certificate{Raw: []byte("raw bytes")}
	unverified := tls.ConnectionState{PeerCertificates: []*x509.Certificate{leaf}}
	verified := unverified
	verified.VerifiedChains = [][]*x509.Certificate{{leaf}}
	for _, test := range []struct {
		name    string
		state   *tls.ConnectionState
		trusted bool
		claimed string
		want    string
	}{
		{name: "no TLS"},
		{name: "not verified", state: &unverified},
		{name: "verified", state: &verified, want: ":cmF3IGJ5dGVz:"},
		{name: "of nobody who is believed", state: &verified, claimed: ":AAAA:", want: ":cmF3IGJ5dGVz:"},
		{name: "of a proxy that says nothing", state: &verified, trusted: true},
		{name: "of a proxy that says another", state: &verified, trusted: true, claimed: ":AAAA:", want: ":AAAA:"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := "none"
			inner := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				header := r.Header.Clone()
				addForwarded(header, r)
				got = header.Get("Client-Cert")
			})
			server := &bridge.Server{Handler: inner, Limits: bridge.Limits{HeadBytes: 1 << 16, Fields: 100}, MaxBody: 1 << 16}
			head := &culvertv1.RequestHead{}
			if test.claimed != "" {
				head.Headers = []*culvertv1.Field{{Name: "client-cert", Value: test.claimed}}
			}
			stream := struct {
				*bridge.WholeRequest
				*bridge.WholeResponse
			}{bridge.NewWholeRequest(&culvertv1.RequestFrame{Head: head, End: true}), bridge.NewWholeResponse(1 << 16)}
			origin := &bridge.Origin{Scheme: "https", Authority: "a", RemoteAddr: "192.0.2.1:5", TLS: test.state, Trusted: test.trusted, Whole: true}
			if result := server.Serve(t.Context(), stream, origin); result.Err != nil {
				t.Fatal(result.Err)
			}
			if got != test.want {
				t.Errorf("%q, want %q", got, test.want)
			}
		})
	}
}
