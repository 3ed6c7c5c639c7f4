package culvert_test

import (
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"github.com/culvert-http/culvert"
)

// forwardedFields are all spellings that an application may take for the fields
// of a proxy.
const forwardedFields = "X-Forwarded-For: 1.2.3.4, 127.0.0.9\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: evil.example\r\n" +
	"X_Forwarded_For: 1.2.3.4\r\nX-FORWARDED_PROTO: https\r\nForwarded: for=1.2.3.4\r\nX-Real-Ip: 1.2.3.4\r\nX_real_IP: 1.2.3.4\r\n" +
	"X-Forwarded-Port: 1\r\nX-Forward: kept\r\n"

func TestGatewayForwarded(t *testing.T) {
	report := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for _, added := range []string{"Via", "User-Agent", "Accept-Encoding"} {
			r.Header.Del(added)
		}
		_ = r.Header.Write(w)
	})
	loopback := netip.MustParsePrefix("127.0.0.0/8")
	for _, test := range []struct {
		name    string
		options []culvert.GatewayOption
		host    string
		want    string
	}{
		{"nobody is trusted", nil, "a.example:81", "Forwarded: for=127.0.0.1;host=\"a.example:81\";proto=http\r\n" +
			"X-Forward: kept\r\nX-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Host: a.example:81\r\nX-Forwarded-Proto: http\r\n"},
		{
			"others are trusted",
			[]culvert.GatewayOption{culvert.WithTrustedProxies(netip.MustParsePrefix("10.0.0.0/8"))},
			"a.example",
			"Forwarded: for=127.0.0.1;host=a.example;proto=http\r\n" +
				"X-Forward: kept\r\nX-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Host: a.example\r\nX-Forwarded-Proto: http\r\n",
		},
		{
			"the proxy is trusted",
			[]culvert.GatewayOption{culvert.WithTrustedProxies(loopback)},
			"a.example",
			"Forwarded: for=1.2.3.4, for=127.0.0.1;host=a.example;proto=https\r\n" +
				"X-Forward: kept\r\nX-Forwarded-For: 1.2.3.4, 127.0.0.9, 127.0.0.1\r\nX-Forwarded-Host: evil.example\r\n" +
				"X-Forwarded-Port: 1\r\nX-Forwarded-Proto: https\r\nX-Real-Ip: 1.2.3.4\r\n",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			upstream := newRoundTripper(t, startServer(t, report), http1)
			addr := startServer(t, newGateway(func(r *http.Request) (*http.Response, error) {
				r = r.Clone(r.Context())
				r.URL.Scheme = "http" // of the upstream, not of the client
				return upstream.RoundTrip(r)
			}, test.options...))
			_, body := rawRequest(t, addr, "GET / HTTP/1.1\r\nHost: "+test.host+"\r\n"+forwardedFields+"\r\n")
			if body != test.want {
				t.Errorf("got\n%swant\n%s", body, test.want)
			}
		})
	}
}

func TestGatewayVia(t *testing.T) {
	via := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, strings.Join(r.Header["Via"], ", "))
	})
	addr := startGateway(t, via, http1)
	for request, want := range map[string]string{
		"GET / HTTP/1.1\r\nHost: x\r\nVia: 1.1 other, 1.0 culvert (no)\r\n\r\n": "1.1 other, 1.0 culvert (no), 1.1 culvert-",
		"GET / HTTP/1.0\r\nHost: x\r\n\r\n":                                     "1.0 culvert-",
	} {
		if _, got := rawRequest(t, addr, request); !strings.HasPrefix(got, want) {
			t.Errorf("Via %q, want %q and a name", got, want)
		}
	}
	got := observe(t, newFrontClient(t, addr, http2Cleartext), nil)
	if !strings.HasPrefix(got.Body, "2 culvert-") {
		t.Errorf("Via of HTTP/2: %q", got.Body)
	}
}
