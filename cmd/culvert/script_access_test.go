package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"os"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/culvert-http/culvert/internal/testcert"
)

type issuersKey struct{}

// issuers are who a script has credentials from.
type issuers struct {
	authorities map[string]*testcert.Authority
	jwtKey      *ecdsa.PrivateKey
}

func issuersOf(ts *testscript.TestScript) *issuers { return ts.Value(issuersKey{}).(*issuers) }

func scriptAuthority(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 1 {
		ts.Fatalf("usage: authority NAME")
	}
	authority, err := testcert.NewAuthority(args[0])
	ts.Check(err)
	issuersOf(ts).authorities[args[0]] = authority
	ts.Check(os.WriteFile(ts.MkAbs(args[0]+".pem"), authority.PEM, 0o600))
}

func scriptIssue(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) < 4 {
		ts.Fatalf("usage: issue AUTHORITY FILE TTL NAME...")
	}
	ttl, err := time.ParseDuration(args[2])
	ts.Check(err)
	cert, key, err := issuersOf(ts).authorities[args[0]].Issue(time.Now().Add(ttl), args[3:]...)
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[1]+".crt"), cert, 0o600))
	ts.Check(os.WriteFile(ts.MkAbs(args[1]+".key"), key, 0o600))
}

func scriptJWT(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: jwt FILE TTL CLAIM=VALUE...")
	}
	ttl, err := time.ParseDuration(args[1])
	ts.Check(err)
	claims := map[string]any{"exp": time.Now().Add(ttl).Unix()}
	for _, claim := range args[2:] {
		name, value, _ := strings.Cut(claim, "=")
		claims[name] = value
	}
	all := issuersOf(ts)
	if all.jwtKey == nil {
		all.jwtKey, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		ts.Check(err)
		keys, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: all.jwtKey.Public(), KeyID: "one", Use: "sig"}}})
		ts.Check(err)
		ts.Check(os.WriteFile(ts.MkAbs("jwks.json"), keys, 0o600))
	}
	signer, err := jose.NewSigner(
		jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: all.jwtKey, KeyID: "one"}}, nil)
	ts.Check(err)
	token, err := jwt.Signed(signer).Claims(claims).Serialize()
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(token+"\n"), 0o600))
}
