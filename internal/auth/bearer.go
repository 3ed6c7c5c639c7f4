package auth

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/culvert-http/culvert"
)

// Bearer wants a bearer token [RFC 6750 § 2.1] in the Authorization field of the
// RPC: one of the tokens of a file, or a JWT. Either may be nil.
type Bearer struct {
	Tokens *Tokens
	JWTs   *JWTs
}

var (
	errNoToken       = missingError("no bearer token")
	errManyTokens    = errors.New("more than one Authorization field")
	errUnknownToken  = errors.New("the bearer token is not known")
	errTokenExpired  = errors.New("the bearer token has expired")
	errUnlikelyToken = errors.New("the bearer token is of no kind that is taken")
)

// Authenticate implements [Method].
func (b *Bearer) Authenticate(r *http.Request) (culvert.Identity, error) {
	token, err := bearerOf(r.Header)
	if err != nil {
		return culvert.Identity{}, err
	}
	return b.identify(r.Context(), token)
}

// identify tells the kinds of tokens apart, so that none is tried as the other.
func (b *Bearer) identify(ctx context.Context, token string) (culvert.Identity, error) {
	switch ours := strings.HasPrefix(token, TokenPrefix); {
	case ours && b.Tokens != nil:
		return b.Tokens.identify(token)
	case !ours && b.JWTs != nil:
		return b.JWTs.identify(ctx, token)
	default:
		return culvert.Identity{}, errUnlikelyToken
	}
}

func bearerOf(header http.Header) (string, error) {
	values := header["Authorization"]
	if len(values) == 0 {
		return "", errNoToken
	}
	if len(values) > 1 {
		return "", errManyTokens
	}
	scheme, token, _ := strings.Cut(values[0], " ")
	token = strings.TrimLeft(token, " ")
	if !strings.EqualFold(scheme, "Bearer") || token == "" {
		return "", errNoToken
	}
	return token, nil
}
