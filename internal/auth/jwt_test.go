package auth

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/culvert-http/culvert"
)

const (
	issuer   = "https://issuer.example"
	audience = "culvert"
)

// issuerKeys are the keys of an issuer.
type issuerKeys struct {
	ec    *ecdsa.PrivateKey
	rsa   *rsa.PrivateKey
	ed    ed25519.PrivateKey
	other *ecdsa.PrivateKey // not in the set
}

func newIssuer(tb testing.TB) *issuerKeys {
	tb.Helper()
	keys := &issuerKeys{}
	var err error
	for _, key := range []**ecdsa.PrivateKey{&keys.ec, &keys.other} {
		if *key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
			tb.Fatal(err)
		}
	}
	if keys.rsa, err = rsa.GenerateKey(rand.Reader, 2048); err != nil {
		tb.Fatal(err)
	}
	if _, keys.ed, err = ed25519.GenerateKey(rand.Reader); err != nil {
		tb.Fatal(err)
	}
	return keys
}

func (k *issuerKeys) set(tb testing.TB) []byte {
	tb.Helper()
	return marshalKeys(tb,
		jose.JSONWebKey{Key: k.ec.Public(), KeyID: "ec", Use: "sig", Algorithm: "ES256"},
		jose.JSONWebKey{Key: k.rsa.Public(), KeyID: "rsa"},
		jose.JSONWebKey{Key: k.rsa.Public(), KeyID: "rs256", Algorithm: "RS256"},
		jose.JSONWebKey{Key: k.ed.Public(), KeyID: "ed"},
		jose.JSONWebKey{Key: k.other.Public(), KeyID: "enc", Use: "enc"},
	)
}

func marshalKeys(tb testing.TB, keys ...jose.JSONWebKey) []byte {
	tb.Helper()
	content, err := json.Marshal(jose.JSONWebKeySet{Keys: keys})
	if err != nil {
		tb.Fatal(err)
	}
	return content
}

// sign returns a token with claims beside those that it must have; nil leaves
// one of them out.
func sign(tb testing.TB, algorithm jose.SignatureAlgorithm, key any, id string, more map[string]any) string {
	tb.Helper()
	claims := map[string]any{"iss": issuer, "aud": audience, "sub": "alice", "exp": time.Now().Add(time.Hour).Unix()}
	maps.Copy(claims, more)
	maps.DeleteFunc(claims, func(_ string, value any) bool { return value == nil })
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: algorithm, Key: jose.JSONWebKey{Key: key, KeyID: id}}, nil)
	if err != nil {
		tb.Fatal(err)
	}
	token, err := jwt.Signed(signer).Claims(claims).Serialize()
	if err != nil {
		tb.Fatal(err)
	}
	return token
}

// unsigned returns a token with a header of its own and the signature of nobody.
func unsigned(header, signature string) string {
	claims := `{"iss":"` + issuer + `","aud":"` + audience + `","exp":4102444800}`
	encode := base64.RawURLEncoding.EncodeToString
	return encode([]byte(header)) + "." + encode([]byte(claims)) + "." + signature
}

func publicPEM(tb testing.TB, key crypto.PublicKey) []byte {
	tb.Helper()
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		tb.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
}

func openJWTs(tb testing.TB, keys string, algorithms ...string) *JWTs {
	tb.Helper()
	jwts, err := OpenJWTs(JWTConfig{Keys: keys, Issuer: issuer, Audiences: []string{audience, "second"}, Algorithms: algorithms}, quiet)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(jwts.Close)
	return jwts
}

func writeKeys(tb testing.TB, content []byte) string {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), "jwks.json")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		tb.Fatal(err)
	}
	return path
}

func TestJWTs(t *testing.T) {
	keys := newIssuer(t)
	bearer := &Bearer{JWTs: openJWTs(t, writeKeys(t, keys.set(t)))}
	now := time.Now()
	for _, test := range []struct {
		name, token string
		ok          bool
	}{
		{"ES256", sign(t, jose.ES256, keys.ec, "ec", nil), true},
		{"RS256", sign(t, jose.RS256, keys.rsa, "rsa", nil), true},
		{"PS256", sign(t, jose.PS256, keys.rsa, "rsa", nil), true},
		{"EdDSA", sign(t, jose.EdDSA, keys.ed, "ed", nil), true},
		{"without a key id", sign(t, jose.ES256, keys.ec, "", nil), true},
		{"one of the audiences", sign(t, jose.ES256, keys.ec, "ec", map[string]any{"aud": []string{"x", "second"}}), true},
		{"a clock that is slow", sign(t, jose.ES256, keys.ec, "ec", map[string]any{"exp": now.Add(-5 * time.Second).Unix()}), true},
		{"no subject", sign(t, jose.ES256, keys.ec, "ec", map[string]any{"sub": nil}), true},

		{"an algorithm that is not the key's", sign(t, jose.PS256, keys.rsa, "rs256", nil), false},
		{"another algorithm", sign(t, jose.RS512, keys.rsa, "rsa", nil), false},
		{"another key's id", sign(t, jose.ES256, keys.ec, "rsa", nil), false},
		{"an unknown key's id", sign(t, jose.ES256, keys.ec, "x", nil), false},
		{"another key", sign(t, jose.ES256, keys.other, "ec", nil), false},
		{"a key for encryption", sign(t, jose.ES256, keys.other, "enc", nil), false},
		{"expired", sign(t, jose.ES256, keys.ec, "ec", map[string]any{"exp": now.Add(-time.Minute).Unix()}), false},
		{"no expiry", sign(t, jose.ES256, keys.ec, "ec", map[string]any{"exp": nil}), false},
		{"not yet", sign(t, jose.ES256, keys.ec, "ec", map[string]any{"nbf": now.Add(time.Hour).Unix()}), false},
		{"issued tomorrow", sign(t, jose.ES256, keys.ec, "ec", map[string]any{"iat": now.Add(24 * time.Hour).Unix()}), false},
		{"another issuer", sign(t, jose.ES256, keys.ec, "ec", map[string]any{"iss": issuer + "/"}), false},
		{"no issuer", sign(t, jose.ES256, keys.ec, "ec", map[string]any{"iss": nil}), false},
		{"another audience", sign(t, jose.ES256, keys.ec, "ec", map[string]any{"aud": "culvert2"}), false},
		{"no audience", sign(t, jose.ES256, keys.ec, "ec", map[string]any{"aud": nil}), false},
		{"alg none", unsigned(`{"alg":"none"}`, ""), false},
		{"alg None", unsigned(`{"alg":"None","kid":"ec"}`, ""), false},
		{"HS256 with the public key", sign(t, jose.HS256, publicPEM(t, keys.rsa.Public()), "rsa", nil), false},
		{"HS256 with the set", sign(t, jose.HS256, keys.set(t), "ec", nil), false},
		{"a key of its own", withOwnKey(t, keys.other), false},
		{"a header that has to be understood", withCritical(t, keys.ec), false},
		{"no signature", strings.TrimRight(sign(t, jose.ES256, keys.ec, "ec", nil), "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"), false},
		{"two parts", "a.b", false},
		{"encrypted", "a.b.c.d.e", false},
		{"not base64", "!.!.!", false},
		{"JSON", `{"payload":"","signatures":[]}`, false},
		{"too long", sign(t, jose.ES256, keys.ec, "ec", map[string]any{"x": strings.Repeat("x", maxJWT)}), false},
		{"a token of the file", TokenPrefix + "x", false},
	} {
		identity, err := bearer.Authenticate(withAuthorization("Bearer " + test.token))
		if (err == nil) != test.ok {
			t.Errorf("%s: %+v, %v", test.name, identity, err)
		}
		if err == nil && (!strings.HasPrefix(identity.Name, "jwt:") || identity.Expires.IsZero()) {
			t.Errorf("%s: identity %+v", test.name, identity)
		}
		if err != nil && len(test.token) > 20 && strings.Contains(err.Error(), test.token) {
			t.Errorf("%s: the error shows the token", test.name)
		}
	}
}

// withOwnKey returns a token that brings the key it is signed with.
func withOwnKey(tb testing.TB, key *ecdsa.PrivateKey) string {
	tb.Helper()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: key}, &jose.SignerOptions{EmbedJWK: true})
	if err != nil {
		tb.Fatal(err)
	}
	token, err := jwt.Signed(signer).Claims(jwt.Claims{
		Issuer: issuer, Audience: jwt.Audience{audience}, Expiry: jwt.NewNumericDate(time.Now().Add(time.Hour)),
	}).Serialize()
	if err != nil {
		tb.Fatal(err)
	}
	return token
}

// withCritical returns a token whose header says that it means something else to who
// understands it [RFC 7515 § 4.1.11].
func withCritical(tb testing.TB, key *ecdsa.PrivateKey) string {
	tb.Helper()
	options := (&jose.SignerOptions{}).WithHeader("kid", "ec").WithHeader("crit", []string{"exp"}).WithHeader("exp", 1)
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: key}, options)
	if err != nil {
		tb.Fatal(err)
	}
	token, err := jwt.Signed(signer).Claims(jwt.Claims{
		Issuer: issuer, Audience: jwt.Audience{audience}, Expiry: jwt.NewNumericDate(time.Now().Add(time.Hour)),
	}).Serialize()
	if err != nil {
		tb.Fatal(err)
	}
	return token
}

func TestKeySetsThatAreRefused(t *testing.T) {
	keys := newIssuer(t)
	many := make([]jose.JSONWebKey, maxKeys+1)
	for i := range many {
		many[i] = jose.JSONWebKey{Key: keys.ec.Public()}
	}
	for name, content := range map[string][]byte{
		"not JSON":      []byte("x"),
		"no keys":       []byte(`{}`),
		"an empty set":  []byte(`{"keys":[]}`),
		"a private key": marshalKeys(t, jose.JSONWebKey{Key: keys.ec}),
		"a secret":      marshalKeys(t, jose.JSONWebKey{Key: []byte("secret")}),
		"a bad key":     []byte(`{"keys":[{"kty":"EC","crv":"P-256","x":"AA","y":"AA"}]}`),
		"unknown kinds": []byte(`{"keys":[{"kty":"XX"}]}`),
		"too many":      marshalKeys(t, many...),
	} {
		if _, err := parseKeys(content); err == nil {
			t.Errorf("%s: was taken", name)
		}
	}
	if found, err := parseKeys([]byte(`{"keys":[{"kty":"XX"},` + strings.TrimPrefix(string(keys.set(t)), `{"keys":[`))); err != nil || len(found) != 4 {
		t.Errorf("a key of an unknown kind among others: %d, %v", len(found), err)
	}
}

// keyServer serves a key set, and counts how often.
type keyServer struct {
	*httptest.Server
	content atomic.Pointer[[]byte]
	status  atomic.Int32
	asked   atomic.Int32
}

func newKeyServer(tb testing.TB, content []byte) *keyServer {
	tb.Helper()
	s := &keyServer{}
	s.content.Store(&content)
	s.status.Store(http.StatusOK)
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.asked.Add(1)
		if status := int(s.status.Load()); status >= 300 && status < 400 {
			http.Redirect(w, r, "/elsewhere", status)
			return
		}
		w.WriteHeader(int(s.status.Load()))
		_, _ = w.Write(*s.content.Load())
	}))
	tb.Cleanup(s.Close)
	return s
}

func TestRemoteKeys(t *testing.T) {
	keys := newIssuer(t)
	server := newKeyServer(t, keys.set(t))
	jwts := openJWTs(t, server.URL)
	remote := jwts.keys.(*remoteKeys)
	bearer := &Bearer{JWTs: jwts}
	authenticate := func(token string) error {
		_, err := bearer.Authenticate(withAuthorization("Bearer " + token).WithContext(t.Context()))
		return err
	}
	good := sign(t, jose.ES256, keys.ec, "ec", nil)
	if err := authenticate(good); err != nil {
		t.Fatalf("the first fetch was not waited for: %v", err)
	}
	for range 10 {
		if err := authenticate(sign(t, jose.ES256, keys.ec, "invented", nil)); err == nil {
			t.Fatal("a key that is not there let in")
		}
	}
	if n := server.asked.Load(); n != 1 {
		t.Errorf("invented keys had the issuer asked %d times", n)
	}

	// A new key is found when a token has it.
	rotated := marshalKeys(t, jose.JSONWebKey{Key: keys.other.Public(), KeyID: "new"})
	server.content.Store(&rotated)
	remote.pretend(func() { remote.tried = remote.tried.Add(-retryAfter) })
	if err := authenticate(sign(t, jose.ES256, keys.other, "new", nil)); err != nil {
		t.Errorf("a token with a new key: %v", err)
	}
	if err := authenticate(good); err == nil {
		t.Error("a key that was withdrawn lets in")
	}

	// Keys stay while they cannot be fetched, but not for ever.
	server.status.Store(http.StatusInternalServerError)
	newest := sign(t, jose.ES256, keys.other, "new", nil)
	remote.pretend(func() {
		remote.fetched, remote.tried = remote.fetched.Add(-refreshAfter), remote.tried.Add(-retryAfter)
	})
	asked := server.asked.Load()
	if err := authenticate(newest); err != nil {
		t.Errorf("keys that cannot be fetched for five minutes: %v", err)
	}
	remote.pretend(func() { remote.fetched = remote.fetched.Add(-keptFor) })
	if server.asked.Load() == asked {
		t.Error("old keys were not fetched again")
	}
	if err := authenticate(newest); err == nil {
		t.Error("keys that cannot be fetched for an hour let in")
	}
}

// What was let in by a key's signature ends when the issuer withdraws the key, and
// not when other keys come and go.
func TestKeysThatAreWithdrawn(t *testing.T) {
	keys := newIssuer(t)
	key := func(of crypto.Signer, id string) jose.JSONWebKey { return jose.JSONWebKey{Key: of.Public(), KeyID: id} }
	both := marshalKeys(t, key(keys.ec, "ec"), key(keys.ed, "ed"))
	one := marshalKeys(t, key(keys.other, "new"), key(keys.ec, "ec"))
	path, server := writeKeys(t, both), newKeyServer(t, both)
	for name, source := range map[string]struct {
		keys   string
		change func(*JWTs)
	}{
		"file": {path, func(*JWTs) {
			if err := os.WriteFile(path, one, 0o600); err != nil {
				t.Fatal(err)
			}
		}},
		"URL": {server.URL, func(j *JWTs) {
			server.content.Store(&one)
			remote := j.keys.(*remoteKeys)
			remote.pretend(func() {
				remote.fetched, remote.tried = remote.fetched.Add(-refreshAfter), remote.tried.Add(-retryAfter)
			})
			_ = j.keys.find(t.Context(), "ec")
		}},
	} {
		t.Run(name, func(t *testing.T) {
			jwts := openJWTs(t, source.keys)
			identify := func(token string) culvert.Identity {
				identity, err := jwts.identify(t.Context(), token)
				if err != nil {
					t.Fatal(err)
				}
				return identity
			}
			withdrawn := identify(sign(t, jose.EdDSA, keys.ed, "ed", nil))
			stays := identify(sign(t, jose.ES256, keys.ec, "ec", nil))
			source.change(jwts)
			select {
			case <-withdrawn.Revoked.Done():
			case <-time.After(30 * time.Second):
				t.Error("nothing ends what a key let in that was withdrawn")
			}
			if stays.Revoked.Err() != nil {
				t.Error("what another key let in has ended as well")
			}
			again := identify(sign(t, jose.ES256, keys.ec, "ec", nil))
			if again.Revoked != stays.Revoked {
				t.Error("a key that stayed is another one now")
			}
		})
	}
}

// pretend changes the times of the keys when no fetch runs.
func (k *remoteKeys) pretend(change func()) {
	k.mu.Lock()
	fetching := k.fetching
	k.mu.Unlock()
	if fetching != nil {
		<-fetching
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	change()
}

// What a server answers that is not the set of keys lets nobody in.
func TestRemoteKeysThatAreNoUse(t *testing.T) {
	keys := newIssuer(t)
	good := keys.set(t)
	for name, answer := range map[string]struct {
		content []byte
		status  int
	}{
		"error":    {good, http.StatusInternalServerError},
		"redirect": {good, http.StatusFound},
		"no JSON":  {[]byte("<html>"), http.StatusOK},
		"too long": {append(slices.Clone(good), strings.Repeat(" ", maxKeySet)...), http.StatusOK},
	} {
		server := newKeyServer(t, answer.content)
		server.status.Store(int32(answer.status))
		jwts := openJWTs(t, server.URL)
		if _, err := jwts.identify(t.Context(), sign(t, jose.ES256, keys.ec, "ec", nil)); err != errJWTKey {
			t.Errorf("%s: %v", name, err)
		}
		if n := server.asked.Load(); n != 1 {
			t.Errorf("%s: asked %d times", name, n)
		}
	}
}

func TestJWTConfigsThatAreRefused(t *testing.T) {
	good := JWTConfig{Keys: "https://issuer.example/keys", Issuer: issuer, Audiences: []string{audience}}
	if err := good.Validate(); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*JWTConfig){
		"no issuer":         func(c *JWTConfig) { c.Issuer = "" },
		"no audience":       func(c *JWTConfig) { c.Audiences = nil },
		"an empty audience": func(c *JWTConfig) { c.Audiences = []string{""} },
		"HS256":             func(c *JWTConfig) { c.Algorithms = []string{"HS256"} },
		"none":              func(c *JWTConfig) { c.Algorithms = []string{"none"} },
		"http":              func(c *JWTConfig) { c.Keys = "http://issuer.example/keys" },
		"a password":        func(c *JWTConfig) { c.Keys = "https://a:b@issuer.example/keys" },
		"no host":           func(c *JWTConfig) { c.Keys = "https:///keys" },
	} {
		config := good
		change(&config)
		if config.Validate() == nil {
			t.Errorf("%s: was taken", name)
		}
	}
}
