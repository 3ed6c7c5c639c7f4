package culvert_test

import (
	"bytes"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/culvert-http/culvert"
	culvertv1 "github.com/culvert-http/culvert/api/culvert/v1"
)

// claims are fields that say for whom a request is sent, as proxies write them.
var claims = []string{
	"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Port", "X-Forwarded-Client-Cert", "X-Real-Ip",
	"Client-Cert", "Client-Cert-Chain",
	// What applications copy from each other.
	"X-Forwarded", "Forwarded-For", "Client-Ip", "X-Client-Ip", "X-Cluster-Client-Ip", "True-Client-Ip", "Cf-Connecting-Ip",
	"Fastly-Client-Ip", "X-Envoy-External-Address", "X-Original-Forwarded-For", "X-Remote-Addr", "X-Scheme", "X-Url-Scheme",
	"Front-End-Https", "Ssl-Client-Verify", "X-Ssl-Client-S-Dn", "X-Client-Cert", "X-Client-Cert-Present", "X-Amzn-Mtls-Clientcert",
}

// disguises are other spellings of them, which applications behind CGI, WSGI or
// PHP take for the same.
var disguises = []string{
	"X_Forwarded_For", "x_forwarded-for", "X-FORWARDED_PROTO", "X.Forwarded.For", "x-forwarded_client-cert",
	"X_Real_IP", "x_real-ip", "Client_Cert", "client.cert.chain", "CLIENT_CERT_CHAIN",
	"true_client_ip", "Ssl_Client_Verify", "front.end.https", "cf_connecting_ip", "Content_Length", "transfer.encoding",
}

// notClaims only look like it.
var notClaims = []string{
	"X-Forward", "X-Real", "Forwarded-By", "Client-Certainty", "Clients", "X_Other", "X-Client", "Ssl-Client", "True-Client", "Fastly-Client",
	"Content-Lengthy", "Transfer", "Front-End",
}

// peek is an application that remembers who it was told to work for.
type peek struct {
	mu             sync.Mutex
	head, trailers []string // names of claims, in whatever spelling, and of notClaims
	remote, proto  string
}

func (p *peek) ServeHTTP(_ http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.head, p.trailers = suspects(r.Header), suspects(r.Trailer)
	p.remote, p.proto = r.RemoteAddr, r.Header.Get("X-Forwarded-Proto")
}

func (p *peek) last() (head, trailers []string, remote, proto string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.head, p.trailers, p.remote, p.proto
}

// suspect has the letters of the names in the tests.
var suspect = func() map[string]bool {
	all := make(map[string]bool)
	for _, name := range slices.Concat(claims, disguises, notClaims) {
		all[lettersOf(name)] = true
	}
	return all
}()

func lettersOf(name string) string {
	return strings.Map(func(r rune) rune {
		if r < 'a' || r > 'z' {
			return -1
		}
		return r
	}, strings.ToLower(name))
}

// suspects are the names of the tests, however they are spelled.
func suspects(header http.Header) []string {
	var names []string
	for name, values := range header {
		switch {
		case len(values) == 0: // announced, and did not come
		case name == "X-Forwarded-Proto", name == "Content-Length", name == "Transfer-Encoding": // there anyway
		case suspect[lettersOf(name)]:
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// canonical are names as net/http has them, in order.
func canonical(lists ...[]string) []string {
	var names []string
	for _, name := range slices.Concat(lists...) {
		names = append(names, http.CanonicalHeaderKey(name))
	}
	slices.Sort(names)
	return names
}

// trustCase is a way to be trusted, or not to be.
type trustCase struct {
	name    string
	opts    []culvert.HandlerOption
	trusted bool
}

func trustCases() []trustCase {
	as := func(identity culvert.Identity) culvert.HandlerOption {
		return culvert.WithAuthenticator(func(*http.Request) (culvert.Identity, error) { return identity, nil })
	}
	return []trustCase{
		{"nobody", nil, false},
		{"another network", []culvert.HandlerOption{culvert.WithTrustedNetworks(netip.MustParsePrefix("10.0.0.0/8"))}, false},
		{"a name without a certificate", []culvert.HandlerOption{culvert.WithTrustedNames("localhost")}, false},
		{"somebody who is known", []culvert.HandlerOption{as(culvert.Identity{Name: "127.0.0.1"})}, false},
		{"the network", []culvert.HandlerOption{culvert.WithTrustedNetworks(netip.MustParsePrefix("127.0.0.0/8"))}, true},
		{"an identity", []culvert.HandlerOption{as(culvert.Identity{Name: "gateway", Trusted: true})}, true},
	}
}

func fieldsOf(value string, lists ...[]string) []*culvertv1.Field {
	var fields []*culvertv1.Field
	for _, name := range slices.Concat(lists...) {
		fields = append(fields, &culvertv1.Field{Name: name, Value: value})
	}
	return fields
}

// Whoever is not trusted cannot say for whom a request is sent, however he spells
// it and wherever he puts it [docs/protocol.md § 12].
func TestClaimsInFrames(t *testing.T) {
	const address = "203.0.113.9:999"
	fields := fieldsOf("203.0.113.9", claims, disguises, notClaims)
	nominating := append(slices.Clone(fields), &culvertv1.Field{Name: "Connection", Value: "x-forwarded-for, X-Forward"})
	for _, test := range trustCases() {
		t.Run(test.name, func(t *testing.T) {
			app := &peek{}
			tunnel := newTunnel(t, app, test.opts...)
			for _, section := range []struct {
				name     string
				fields   []*culvertv1.Field
				trailers []*culvertv1.Field
				without  []string
			}{
				{"head", fields, nil, nil},
				{"nominated", nominating, nil, []string{"X-Forwarded-For", "X-Forward"}},
				{"trailers", nil, fields, nil},
			} {
				head := &culvertv1.RequestHead{Method: "POST", Path: "/", Scheme: "https", ClientAddress: address, Headers: section.fields}
				everyWay(t, nil, whole(head, "", section.trailers...), func(t *testing.T, w rpcWire, method string, body []byte) {
					if got := tunnel.call(t, w, method, bytes.NewReader(body)); got.code != 0 {
						t.Fatal(got)
					}
					checkClaims(t, app, test.trusted, section.trailers != nil, section.without)
					_, _, remote, proto := app.last()
					if (remote == address) != test.trusted || (proto == "https") != test.trusted {
						t.Errorf("%s: client at %s with %q, want the claimed one: %t", section.name, remote, proto, test.trusted)
					}
				})
			}
		})
	}
}

func checkClaims(t *testing.T, app *peek, trusted, trailing bool, without []string) {
	t.Helper()
	want := canonical(notClaims)
	if trusted {
		want = canonical(notClaims, claims)
	}
	want = slices.DeleteFunc(want, func(name string) bool { return slices.Contains(without, name) })
	head, trailers, _, _ := app.last()
	got, other := head, trailers
	if trailing {
		got, other = trailers, head
	}
	if !slices.Equal(got, want) || len(other) > 0 {
		t.Errorf("head %q, trailers %q, want %q, trailing %t", head, trailers, want, trailing)
	}
}

// The same from a transport, in sessions too.
func TestClaimsOfATransport(t *testing.T) {
	for _, test := range trustCases() {
		for _, w := range ways() {
			t.Run(test.name+"/"+w.String(), func(t *testing.T) {
				app := &peek{}
				tunnel := newTunnel(t, app, test.opts...)
				transport := newRigTransport(t, w.server(t, tunnel), w.options()...)
				for _, trailing := range []bool{false, true} {
					req := newRigRequest(t, http.MethodPost, "/", opaque{strings.NewReader("body")})
					section := req.Header
					if trailing {
						req.Trailer = http.Header{}
						section = req.Trailer
					}
					for _, name := range slices.Concat(claims, disguises, notClaims) {
						section[http.CanonicalHeaderKey(name)] = []string{"203.0.113.9"}
					}
					req.URL.Scheme = "https"
					resp, err := transport.RoundTrip(req)
					if err != nil {
						t.Fatal(err)
					}
					readBody(t, resp)
					checkClaims(t, app, test.trusted, trailing, nil)
					if _, _, remote, proto := app.last(); !strings.HasPrefix(remote, "127.0.0.1:") || (proto == "https") != test.trusted {
						t.Errorf("client at %s with %q", remote, proto)
					}
				}
			})
		}
	}
}

// The scheme is told only where the connection of the RPC would tell another one.
func TestSchemeOfATrustedPeer(t *testing.T) {
	trusted := culvert.WithTrustedNetworks(netip.MustParsePrefix("127.0.0.0/8"))
	app := &peek{}
	tunnel := newTunnel(t, app, trusted)
	for _, test := range []struct{ scheme, field, want string }{
		{"http", "", ""},
		{"https", "", "https"},
		{"https", "http", "http"}, // of a proxy further in front
		{"", "", ""},
	} {
		head := &culvertv1.RequestHead{Path: "/", Scheme: test.scheme}
		if test.field != "" {
			head.Headers = []*culvertv1.Field{{Name: "x-forwarded-proto", Value: test.field}}
		}
		w := rpcWires[0]
		if got := tunnel.call(t, w, "Exchange", bytes.NewReader(w.body(t, "Exchange", whole(head, "")[0]))); got.code != 0 {
			t.Fatal(got)
		}
		if _, _, _, proto := app.last(); proto != test.want {
			t.Errorf("scheme %q with the field %q: %q, want %q", test.scheme, test.field, proto, test.want)
		}
	}
}

// The gateway's own word stands, whatever its client nominates.
func TestGatewayClaimsThatAreNominated(t *testing.T) {
	seen := make(chan http.Header, 1)
	addr := startServer(t, newGateway(func(r *http.Request) (*http.Response, error) {
		seen <- r.Header.Clone()
		return nil, errors.New("enough")
	}))
	rawRequest(t, addr, "GET / HTTP/1.1\r\nHost: a.example\r\n"+
		"Connection: X-Forwarded-For, forwarded, X-Forwarded-Proto, Client-Cert\r\nClient-Cert: :AA:\r\nClient_cert: :AA:\r\n\r\n")
	header := <-seen
	for name, want := range map[string]string{
		"X-Forwarded-For": "127.0.0.1", "X-Forwarded-Proto": "http", "Forwarded": "for=127.0.0.1;host=a.example;proto=http",
		"Client-Cert": "", "Client_cert": "",
	} {
		if got := header.Get(name); got != want || len(header[name]) > 1 {
			t.Errorf("%s: %q, want %q", name, header[name], want)
		}
	}
}

// Trailers of a gateway's client claim nothing either, announced or not.
func TestGatewayClaimsInTrailers(t *testing.T) {
	names := slices.Concat(claims, disguises, []string{"X-Sum", "X-Late"})
	var announced, sent strings.Builder
	for i, name := range names {
		if i%2 == 0 {
			announced.WriteString("Trailer: " + name + "\r\n")
		}
		sent.WriteString(name + ": 203.0.113.9\r\n")
	}
	raw := "POST / HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\n" + announced.String() + "\r\n1\r\nx\r\n0\r\n" + sent.String() + "\r\n"
	for name, opts := range map[string][]culvert.GatewayOption{
		"nobody is trusted":    nil,
		"the proxy is trusted": {culvert.WithTrustedProxies(netip.MustParsePrefix("127.0.0.0/8"))},
	} {
		t.Run(name, func(t *testing.T) {
			seen := make(chan http.Header, 1)
			tunnel := newTunnel(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				seen <- r.Trailer
			}), culvert.WithTrustedNetworks(netip.MustParsePrefix("127.0.0.0/8")))
			addr := startServer(t, culvert.NewGateway(newRigTransport(t, tunnel.url), opts...))
			rawRequest(t, addr, raw)
			want := []string{"X-Late", "X-Sum"}
			if opts != nil {
				want = canonical(claims, want)
			}
			got := slices.Sorted(maps.Keys(<-seen))
			if !slices.Equal(got, want) {
				t.Errorf("trailers %q, want %q", got, want)
			}
		})
	}
}
