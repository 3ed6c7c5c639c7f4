package auth

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/culvert-http/culvert"
)

const (
	// leeway is by how much the clocks of this machine and the issuer's may differ.
	leeway = 30 * time.Second
	// maxJWT bounds a token, in bytes, before anything of it is decoded.
	maxJWT = 16 << 10
)

// algorithms are those that can be allowed. None of them is symmetric: whoever
// can verify a token must not be able to make one.
var algorithms = []jose.SignatureAlgorithm{
	jose.RS256, jose.RS384, jose.RS512, jose.PS256, jose.PS384, jose.PS512, jose.ES256, jose.ES384, jose.ES512, jose.EdDSA,
}

// DefaultAlgorithms are those that are allowed unless something else is said.
var DefaultAlgorithms = []string{string(jose.RS256), string(jose.PS256), string(jose.ES256), string(jose.EdDSA)}

// JWTConfig says which JWTs are believed.
type JWTConfig struct {
	// Keys is a file with a JSON Web Key Set, or the https URL of one; http is for
	// the loopback.
	Keys string
	// Issuer is what iss has to be. It must not be empty.
	Issuer string
	// Audiences are what aud has to have one of. There must be one.
	Audiences []string
	// Algorithms are the signature algorithms that are allowed. If there are none,
	// [DefaultAlgorithms] are.
	Algorithms []string
}

// Validate reports what is wrong with the configuration.
func (c *JWTConfig) Validate() error {
	if c.Issuer == "" || len(c.Audiences) == 0 || slices.Contains(c.Audiences, "") {
		return errors.New("keys are of no use without the issuer and the audience that tokens must have")
	}
	for _, name := range c.Algorithms {
		if !slices.Contains(algorithms, jose.SignatureAlgorithm(name)) {
			return fmt.Errorf("%q is not one of the algorithms with public keys: %v", name, algorithms)
		}
	}
	if isURL(c.Keys) {
		return validateKeysURL(c.Keys)
	}
	return nil
}

// JWTs are the JSON Web Tokens [RFC 7519] of one issuer for one audience. They
// must expire. What RFC 8725 warns of is refused: the token does not choose an
// algorithm that is not in the list, nor where its key is from.
type JWTs struct {
	keys       keySource
	expected   jwt.Expected
	algorithms []jose.SignatureAlgorithm
}

// keySource is where the keys are from.
type keySource interface {
	// find returns the keys that a token with this id may be signed with. It may
	// wait for them for a while.
	find(ctx context.Context, id string) []issuerKey
	Close()
}

// OpenJWTs reads the keys of an issuer, if they are in a file, or begins to fetch
// them. Close ends the watch over them.
func OpenJWTs(config JWTConfig, logger *slog.Logger) (*JWTs, error) {
	if err := config.Validate(); err != nil {
		return nil, err
	}
	names := config.Algorithms
	if len(names) == 0 {
		names = DefaultAlgorithms
	}
	j := &JWTs{expected: jwt.Expected{Issuer: config.Issuer, AnyAudience: config.Audiences}}
	for _, name := range names {
		j.algorithms = append(j.algorithms, jose.SignatureAlgorithm(name))
	}
	if isURL(config.Keys) {
		j.keys = fetchKeys(config.Keys, logger)
		return j, nil
	}
	var err error
	if j.keys, err = openKeys(config.Keys, logger); err != nil {
		return nil, err
	}
	return j, nil
}

// Close ends the watch over the keys.
func (j *JWTs) Close() { j.keys.Close() }

var (
	errJWT    = errors.New("the bearer token is not a JWT that is signed as it has to be")
	errJWTKey = errors.New("the JWT is not signed with one of the issuer's keys")
	errNoExp  = errors.New("the JWT does not expire")
)

// identify says for whom the token is.
func (j *JWTs) identify(ctx context.Context, raw string) (culvert.Identity, error) {
	if len(raw) > maxJWT || strings.Count(raw, ".") != 2 {
		return culvert.Identity{}, errJWT
	}
	token, err := jwt.ParseSigned(raw, j.algorithms)
	if err != nil || len(token.Headers) != 1 {
		return culvert.Identity{}, errJWT
	}
	claims, key, err := j.verify(ctx, token)
	if err != nil {
		return culvert.Identity{}, err
	}
	if claims.Expiry == nil {
		return culvert.Identity{}, errNoExp
	}
	if err := claims.ValidateWithLeeway(j.expected, leeway); err != nil {
		return culvert.Identity{}, fmt.Errorf("check claims of JWT: %w", err)
	}
	return culvert.Identity{Name: "jwt:" + claims.Subject, Expires: claims.Expiry.Time().Add(leeway), Revoked: key.valid}, nil
}

// verify returns the claims of a token, and the key of the issuer's whose signature
// it has.
func (j *JWTs) verify(ctx context.Context, token *jwt.JSONWebToken) (*jwt.Claims, *issuerKey, error) {
	header := token.Headers[0]
	for _, key := range j.keys.find(ctx, header.KeyID) {
		if key.Algorithm != "" && key.Algorithm != header.Algorithm {
			continue
		}
		claims := &jwt.Claims{}
		if token.Claims(key.Key, claims) == nil {
			return claims, &key, nil
		}
	}
	return nil, nil, errJWTKey
}
