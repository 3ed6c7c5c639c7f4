package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/culvert-http/culvert"
	"github.com/culvert-http/culvert/internal/auth"
	"github.com/culvert-http/culvert/internal/peername"
	"github.com/culvert-http/culvert/internal/server"
)

// accessFlags say who may call, and what for.
type accessFlags struct {
	certificateFlags
	Tokens         accessFile `help:"File of the hashes of bearer tokens that let in; culvert token new makes one." placeholder:"FILE" group:"Access"`
	JWTKeys        accessFile `name:"jwt-keys" help:"JSON Web Key Set, a file or an https URL, of the issuer whose JWTs let in." placeholder:"FILE|URL" group:"Access"`
	JWTIssuer      string     `name:"jwt-issuer" help:"Issuer that JWTs must have." placeholder:"ISS" group:"Access"`
	JWTAudience    []string   `name:"jwt-audience" help:"Audience that JWTs must have one of." placeholder:"AUD" group:"Access"`
	JWTAlgorithm   []string   `name:"jwt-algorithm" default:"${jwt_algorithms}" help:"Signature algorithm that JWTs may have." placeholder:"ALG" group:"Access"`
	Require        string     `default:"all" enum:"all,any" help:"With --client-ca, and --tokens or --jwt-keys: whether clients need both (all) or one of them (any)." group:"Access"`
	AllowAuthority allowList  `help:"Authority, with or without a port, that the application may be asked for." placeholder:"HOST[:PORT],..." group:"Access"`
	AllowMethod    allowList  `help:"Method that the application may be asked for." placeholder:"METHOD,..." group:"Access"`
	AllowPath      allowList  `help:"Path that the application may be asked for, with all that is under it." placeholder:"/PATH,..." group:"Access"`
}

// accessFile is a file without which everybody might enter: one that is given must
// not be empty, as a variable is that somebody has forgotten to set.
type accessFile string

// UnmarshalText implements encoding.TextUnmarshaler.
func (f *accessFile) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		return errors.New("the name of the file is empty")
	}
	*f = accessFile(text)
	return nil
}

// allowList is what may be done, where no list at all allows everything: one that is
// given must not be empty either.
type allowList []string

// Decode implements kong.MapperValue.
func (l *allowList) Decode(ctx *kong.DecodeContext) error {
	var text string
	if err := ctx.Scan.PopValueInto("value", &text); err != nil {
		return err
	}
	items := kong.SplitEscaped(text, ',')
	if len(items) == 0 {
		return errors.New("the list is empty, which would allow everything")
	}
	*l = append(*l, items...)
	return nil
}

func accessDefaults() map[string]string {
	return map[string]string{
		"jwt_algorithms":   strings.Join(auth.DefaultAlgorithms, ","),
		"credential_grace": culvert.DefaultCredentialGrace.String(),
	}
}

// asks reports whether callers need a credential.
func (f *accessFlags) asks() bool { return f.Tokens != "" || f.ClientCA != "" || f.JWTKeys != "" }

func (f *accessFlags) scope() *auth.Scope {
	return &auth.Scope{Authorities: f.AllowAuthority, Methods: f.AllowMethod, Paths: f.AllowPath}
}

func (f *accessFlags) jwtConfig() auth.JWTConfig {
	return auth.JWTConfig{Keys: string(f.JWTKeys), Issuer: f.JWTIssuer, Audiences: f.JWTAudience, Algorithms: f.JWTAlgorithm}
}

func (f *accessFlags) validate(secured bool) error {
	if f.JWTKeys == "" && (f.JWTIssuer != "" || len(f.JWTAudience) > 0) {
		return errors.New("--jwt-issuer and --jwt-audience need --jwt-keys")
	}
	if err := f.certificateFlags.validate(secured); err != nil {
		return err
	}
	if f.JWTKeys != "" {
		config := f.jwtConfig()
		if err := config.Validate(); err != nil {
			return fmt.Errorf("--jwt-keys: %w", err)
		}
	}
	if err := f.scope().Validate(); err != nil {
		return fmt.Errorf("--allow-authority, --allow-method and --allow-path: %w", err)
	}
	return nil
}

// access is who may enter, with what watches over the files of it.
type access struct {
	flags       *accessFlags
	method      auth.Method // nil: everybody
	authorities *server.Authorities
	closers     []func()
}

// open reads the files of the flags.
func (f *accessFlags) open(logger *slog.Logger) (*access, error) {
	a := &access{flags: f}
	methods, err := a.openMethods(logger)
	if err != nil {
		a.close()
		return nil, err
	}
	switch {
	case len(methods) == 0:
	case f.Require == "any":
		a.method = auth.Any(methods)
	default:
		a.method = auth.All(methods)
	}
	return a, nil
}

func (a *access) openMethods(logger *slog.Logger) ([]auth.Method, error) {
	var methods []auth.Method
	if file := a.flags.ClientCA; file != "" {
		authorities, err := server.OpenAuthorities(string(file), logger)
		if err != nil {
			return nil, err
		}
		a.authorities = authorities
		a.closers = append(a.closers, authorities.Close)
		allowed, err := peername.Parse(a.flags.AllowClient)
		if err != nil {
			return nil, &usageError{err}
		}
		methods = append(methods, &auth.Certificates{Allowed: allowed, Authorities: authorities})
	}
	bearer, err := a.openBearer(logger)
	if err != nil {
		return nil, err
	}
	if bearer != nil {
		methods = append(methods, bearer)
	}
	return methods, nil
}

// openBearer returns the tokens that let in, nil if none do.
func (a *access) openBearer(logger *slog.Logger) (*auth.Bearer, error) {
	f := a.flags
	if f.Tokens == "" && f.JWTKeys == "" {
		return nil, nil
	}
	bearer := &auth.Bearer{}
	var err error
	if f.Tokens != "" {
		if bearer.Tokens, err = auth.OpenTokens(string(f.Tokens), logger); err != nil {
			return nil, err
		}
		a.closers = append(a.closers, bearer.Tokens.Close)
	}
	if f.JWTKeys != "" {
		if bearer.JWTs, err = auth.OpenJWTs(f.jwtConfig(), logger); err != nil {
			return nil, err
		}
		a.closers = append(a.closers, bearer.JWTs.Close)
	}
	return bearer, nil
}

func (a *access) close() {
	for _, closer := range slices.Backward(a.closers) {
		closer()
	}
}

// authenticator is nil where everybody may enter.
func (a *access) authenticator() culvert.Authenticator {
	if a.method == nil {
		return nil
	}
	return a.method.Authenticate
}

func (a *access) options() []culvert.HandlerOption {
	opts := []culvert.HandlerOption{
		culvert.WithTrustedNames(a.flags.TrustName...),
		culvert.WithCredentialGrace(a.flags.CredentialGrace),
	}
	if a.method != nil {
		opts = append(opts, culvert.WithAuthenticator(a.method.Authenticate))
	}
	return opts
}

// secure has the listener verify the certificates of clients.
func (a *access) secure(config *tls.Config) {
	if a.authorities != nil {
		a.authorities.VerifyClients(config)
	}
}
